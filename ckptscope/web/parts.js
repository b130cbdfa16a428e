// The parts of the page and how they lie in it.
import {CheckpointTable} from './checkpoints.js';
import {CoverageTable} from './coverage.js';
import {copyButton} from './copying.js';
import {el} from './elements.js';
import {DetailsPanel} from './panel.js';
import {PlotBox} from './plot.js';
import {RestartTable} from './restarts.js';
import {StatusLine} from './status.js';
import {Toolbar} from './toolbar.js';

// `actions`: {change(patch), choose(key), chooseStep(run, attempt, step), compare(id), stopComparing(), clear(),
//             zoom(range), showRestart(run, number), showFiles(count)}
export function pageParts(answers, link, actions) {
  const toolbar = new Toolbar(actions.change);
  const status = new StatusLine();
  const bars = el('div', {id: 'notices'});
  const plot = new PlotBox(actions);
  const coverage = new CoverageTable(actions.showFiles, answers.api.isLive);
  const restarts = new RestartTable(actions.showRestart);
  const checkpoints = new CheckpointTable(actions);
  const panel = new DetailsPanel(answers, copyButton(link, 'copy link'), actions);
  const left = el('div', {id: 'left'}, plot.element, coverage.element, restarts.element, checkpoints.element);
  const main = el('main', {}, left, panel.element);
  status.say('Loading …');
  plot.say('Loading …');
  coverage.say('Loading …');
  return {toolbar, status, bars, plot, coverage, restarts, checkpoints, panel, all: [toolbar.element, status.element, bars, main]};
}
