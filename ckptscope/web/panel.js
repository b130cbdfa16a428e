// The panel of details: asks for what was chosen and lays it out.
import {checkpointKey, checkpointStep} from './checkpoints.js';
import {comparisonDetails} from './comparison.js';
import {checkpointDetails, checkpointTitle, noChoice, rowDetails, stepDetails} from './details.js';
import {el, repaint} from './elements.js';
import {errorWords} from './status.js';
import {parseStepKey} from './viewstate.js';

export class DetailsPanel {
  // `actions`: {choose(key), stopComparing()}
  constructor(answers, copyLink, actions) {
    Object.assign(this, {answers, actions});
    this.body = el('div', {class: 'body'});
    // Only what was chosen and its verdict are announced.
    this.head = el('div', {class: 'head', 'aria-live': 'polite'});
    this.element = el('aside', {id: 'details', 'aria-label': 'Details'},
      el('div', {class: 'title'}, el('h2', {}, 'Details'), copyLink), this.head, this.body);
  }

  // `isQuiet`: the same again with fresh numbers; nothing jumps.
  async show(view, runs, isQuiet) {
    const isLast = this.answers.begin('details');
    if (!isQuiet) this.element.setAttribute('aria-busy', 'true');
    let content;
    try {
      content = await this.content(view, runs);
    } catch (error) {
      content = errorWords(error, () => this.show(view, runs, isQuiet));
    }
    if (!isLast()) return;
    this.element.removeAttribute('aria-busy');
    const text = content.map((part) => (part ? part.textContent : '')).join('\n');
    // Unfolded stages stay unfolded where nothing has changed.
    if (isQuiet && text === this.text) return;
    this.text = text;
    const top = this.element.scrollTop;
    const isHead = (part) => Boolean(part) && part.matches('h3, .headline');
    repaint(this.head, content.filter(isHead));
    repaint(this.body, content.filter((part) => !isHead(part)));
    this.element.scrollTop = isQuiet ? top : 0;
  }

  async content({sel, vs}, runs) {
    if (!sel) return noChoice();
    const row = this.answers.rows.find((one) => checkpointKey(one) === sel);
    const mate = this.answers.rows.find((one) => one.id === vs && vs !== null);
    if (row && row.id && mate && mate !== row) return this.comparison(row, mate);
    if (row && !row.id) return rowDetails(row);
    const at = row ? null : parseStepKey(sel);
    if (!at) return checkpointDetails(await this.answers.api.inspect(sel), row);
    const run = runs.find((one) => one.attempts.some((attempt) => attempt.id === at.attempt));
    return stepDetails(await this.answers.api.state(run.name, at.attempt, at.step), (id) => this.actions.choose(id));
  }

  // The earlier step first, whichever was chosen first.
  async comparison(row, mate) {
    const [a, b] = checkpointStep(mate) > checkpointStep(row) ? [row, mate] : [mate, row];
    const {api} = this.answers;
    const [difference, single] = await Promise.allSettled([api.diff(a.id, b.id), api.inspect(row.id)]);
    const words = (result, lay) => (result.status === 'fulfilled' ? lay(result.value) : errorWords(result.reason));
    const first = words(difference, (answer) => comparisonDetails(answer, [a, b], () => this.actions.stopComparing()));
    const second = words(single, (answer) => checkpointDetails(answer, row));
    return [...first, el('details', {class: 'single'}, el('summary', {}, `All about ${checkpointTitle(row)}`), second.filter(Boolean))];
  }
}
