// What to show: the run, runs to compare it with, and the two axes.
import {ago, el, number, plural, repaint} from './elements.js';
import {CHOICES, MAX_DRAWN} from './viewstate.js';

const HINTS = {effective: 'without lost steps', all: 'with lost steps, thin'};

export class Toolbar {
  // `change(patch)`: what the user chose
  constructor(change) {
    this.change = change;
    this.runs = [];
    this.view = null;
    this.run = this.select('run', 'Run', [], (value) => ({run: value, sel: null, vs: null, x0: null, x1: null}));
    this.y = this.select('y', 'Position', CHOICES.y, (value) => ({y: value}));
    this.reads = this.select('reads', 'Reads', CHOICES.reads, (value) => ({reads: value}));
    this.x = this.select('x', 'Over', CHOICES.x, (value) => ({x: value, x0: null, x1: null}));
    this.reads.title = 'effective: steps that survive in the last weights; all: lost steps too, which a later restart went back before';
    this.reads.setAttribute('aria-describedby', 'reads-hint');
    this.hint = el('span', {id: 'reads-hint', class: 'muted'});
    this.compare = this.comparePanel();
    const controls = [this.run, this.compare, this.y, this.x, this.reads, this.hint];
    this.element = el('header', {id: 'toolbar'}, controls.map((one) => one.parentLabel || one));
  }

  select(id, label, choices, patch) {
    const select = el('select', {id, on: {change: () => this.change(patch(select.value))}},
      choices.map(([value, text]) => el('option', {value}, text)));
    select.parentLabel = el('label', {}, el('span', {}, label), select);
    return select;
  }

  comparePanel() {
    this.summary = el('summary', {}, 'compare runs');
    this.search = el('input', {type: 'search', placeholder: 'filter by name', 'aria-label': 'Filter runs by name',
                               on: {input: () => this.paintList()}});
    this.list = el('ul', {});
    this.count = el('p', {class: 'muted'});
    this.clear = el('button', {type: 'button', class: 'small', on: {click: () => this.change({others: []})}}, 'none');
    const panel = el('details', {id: 'compare'}, this.summary,
      el('div', {class: 'panel'}, el('div', {class: 'title'}, this.search, this.clear), this.count, this.list));
    panel.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !panel.open) return;
      panel.open = false;
      this.summary.focus();
    });
    panel.addEventListener('toggle', () => panel.open && this.paintList());
    document.addEventListener('pointerdown', (event) => {
      if (!panel.contains(event.target)) panel.open = false;
    });
    return panel;
  }

  show(runs, view) {
    this.runs = runs;
    this.view = view;
    const names = runs.map((run) => run.name);
    if (this.run.dataset.names !== JSON.stringify(names)) {
      this.run.dataset.names = JSON.stringify(names);
      this.run.replaceChildren(...names.map((name) => el('option', {value: name}, name === '.' ? '. (the log directory)' : name)));
    }
    this.run.value = view.run;
    for (const key of ['y', 'x', 'reads']) this[key].value = view[key];
    this.hint.textContent = HINTS[view.reads];
    this.compare.hidden = runs.length < 2;
    this.summary.textContent = view.others.length ? `compared with ${plural(view.others.length, 'run')}` : 'compare runs';
    // The list may be long: nothing is laid out that nobody sees.
    if (this.compare.open) this.paintList();
  }

  paintList() {
    const wanted = this.search.value.trim().toLowerCase();
    const others = this.runs.filter((run) => run.name !== this.view.run);
    const found = others.filter((run) => run.name.toLowerCase().includes(wanted));
    const numDrawn = Math.min(MAX_DRAWN, this.view.others.length + 1);
    const numMore = this.view.others.length + 1 - numDrawn;
    this.clear.disabled = !this.view.others.length;
    this.count.textContent = `${number(found.length)} of ${plural(others.length, 'run')}, newest first; ${number(numDrawn)} drawn` +
      (numMore ? `, ${number(numMore)} more chosen than can be drawn (at most ${MAX_DRAWN})` : '');
    const top = this.list.scrollTop;
    repaint(this.list, found.map((run) => this.item(run)));
    this.list.scrollTop = top;
  }

  item(run) {
    const box = el('input', {type: 'checkbox', data: {key: `with ${run.name}`}, on: {change: () => this.toggle(run.name)}});
    box.checked = this.view.others.includes(run.name);
    const facts = [plural(run.num_checkpoints, 'checkpoint')];
    if (run.restarts.length) facts.push(plural(run.restarts.length, 'restart'));
    if (run.newest_s) facts.push(ago(run.newest_s));
    return el('li', {}, el('label', {}, box, el('span', {class: 'name'}, run.name), el('span', {class: 'muted'}, facts.join(', '))));
  }

  toggle(name) {
    const {others} = this.view;
    this.change({others: others.includes(name) ? others.filter((one) => one !== name) : [...others, name]});
  }
}
