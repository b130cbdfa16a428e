// The line that sums a run up, the bars of notices below it, and what is said when there is nothing to show.
import {ago, clock, el, number, plural, repaint} from './elements.js';
import {verdictBadge} from './checkpoints.js';

// The recorder writes at least this often.
const FLUSH_INTERVALS_S = 30;

// In pieces, because a report takes lines that begin with "import" out of modules.
const RECORDER = ['import ckptscope as cs', 'with cs.record(LOGDIR, dataset=dataset, iterator=iterator) as recorder:',
                  '    recorder.step(step)        # after each training step'].join('\n');

const RECORD_HINT = 'cs.record(LOGDIR, …) or cs.keras.DataPosition records every step.';
const SAVE_HINT = 'tf.train.Checkpoint(model=…, optimizer=…, step=…, iterator=iterator) keeps the place in the data.';

// Only the numbers of checkpoints and restarts are announced when they change: steps and ages change all the time.
export class StatusLine {
  constructor() {
    this.announced = el('div', {class: 'announced', role: 'status'});
    this.rest = el('div', {class: 'rest'});
    this.element = el('div', {id: 'status'}, this.announced, this.rest);
  }

  say(text) {
    this.put(this.announced, [el('span', {}, text)]);
    this.put(this.rest, []);
  }

  show(run, scan, isLive) {
    this.put(this.announced, [verdictCounts(run), run.num_attempts ? attemptWords(run) : null]);
    const isSearching = scan && scan.state === 'running';
    this.put(this.rest, [
      run.num_attempts ? el('span', {}, plural(run.num_steps, 'step')) : null,
      run.num_attempts && run.restarts.length ? amountWords(run) : null,
      run.newest_s ? (isLive ? freshness(run) : el('span', {}, `newest ${clock(run.newest_s)}`)) : null,
      isSearching ? el('span', {}, scan.text || `searching for checkpoints, ${number(scan.num_checkpoints)} found`) : null,
    ]);
  }

  put(box, parts) {
    const known = parts.filter(Boolean);
    const said = (elements) => JSON.stringify(elements.map((one) => [one.className, one.textContent]));
    if (said([...box.children]) !== said(known)) repaint(box, known);
  }
}

function verdictCounts(run) {
  const verdicts = [['exact', 'exact'], ['approximate', 'approximate'], ['impossible', 'impossible'], ['unreadable', 'unknown']];
  const counted = verdicts.filter(([key]) => run.verdicts && run.verdicts[key]);
  const gone = run.num_gone ? ` on disk, ${number(run.num_gone)} gone` : '';
  return el('span', {}, plural(run.num_checkpoints, 'checkpoint'), gone, counted.length ? ': ' : '',
    counted.flatMap(([key, name], i) => [i ? ', ' : '', el('b', {}, number(run.verdicts[key])), ' ',
      verdictBadge(name, key === 'unreadable' ? 'unreadable' : null)]));
}

function attemptWords(run) {
  const restarts = run.restarts.length ? plural(run.restarts.length, 'restart') : 'no restarts';
  return el('span', {}, `${plural(run.num_attempts, 'attempt')}, ${restarts}`);
}

function amountWords(run) {
  const isKnown = (count) => count !== null && count !== undefined;
  const again = isKnown(run.num_repeated) ? `${plural(run.num_repeated, 'example')} read again` : 'not known what was read again';
  const never = isKnown(run.num_skipped) ? `${number(run.num_skipped)} never read` : 'not known what was never read';
  return el('span', {class: 'amounts', title: 'in the steps that survive in the last weights'}, `↺ ${again}, ⇥ ${never}`);
}

function freshness(run) {
  const newest = run.newest_s;
  // A checkpoint alone does not tell whether somebody is still training.
  const isFresh = run.num_attempts > 0 && Date.now() / 1000 - newest < FLUSH_INTERVALS_S;
  const what = run.num_attempts > 0 ? 'record' : 'checkpoint';
  return el('span', {class: isFresh ? 'live' : 'stale', title: clock(newest)}, `${isFresh ? 'live, ' : ''}newest ${what} ${ago(newest)}`);
}

// [{level: 'info' | 'warning' | 'error', text, hint, onRetry}]; `onClose` is given for those that can be put away.
export function paintNotices(box, notices) {
  repaint(box, notices.map((notice) => el('div', {class: `notice ${notice.level}`, role: notice.level === 'error' ? 'alert' : null},
    el('span', {class: 'badge'}, {info: 'note', warning: 'warning', error: 'error'}[notice.level]),
    el('span', {}, notice.text, notice.hint ? el('span', {class: 'muted'}, ` ${notice.hint}`) : null),
    notice.onRetry ? retryButton(notice.onRetry) : null,
    notice.onClose ? closeButton(notice.onClose) : null)));
}

export function runNotices(run, overview, answer) {
  const notices = [];
  const warn = (text) => notices.push({level: 'warning', text});
  const note = (text, hint) => notices.push({level: 'info', text, hint});
  if (run.num_missing > 0) warn(`${plural(run.num_missing, 'recorded step')} could not be read: the picture has gaps.`);
  (run.warnings || []).forEach(warn);
  (overview.notes || []).forEach((text) => note(text));
  if (overview.scan && overview.scan.state === 'limited') note(overview.scan.text || 'Not all directories were searched for checkpoints.');
  if (!run.num_attempts) note('No recording in this run: the plot shows its checkpoints only.', RECORD_HINT);
  else if (!run.num_checkpoints && !run.num_gone) note('No checkpoints seen of this run.', SAVE_HINT);
  if (!answer) return notices;
  answer.notes.forEach((text) => note(text));
  if (answer.y.reason) note(answer.y.reason);
  return notices;
}

export function ignoredNotice(ignored, onClose) {
  return {level: 'warning', text: `The link names what is not here, and that was ignored: ${ignored.join(', ')}.`, onClose};
}

export function goneNotice(names, onClose) {
  return {level: 'info', text: `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} not here any more.`, onClose};
}

export function emptyPage(overview) {
  const {scan} = overview;
  const isSearching = scan && scan.state === 'running';
  return el('div', {class: 'page'},
    el('h1', {}, isSearching ? 'Searching for runs …' : 'No data positions here yet'),
    isSearching ? null : [
      el('p', {}, 'This tab shows where the input data stood at every step and checkpoint of a run. ',
        'It needs one of two things below the log directory: ', el('b', {}, 'TensorFlow checkpoints'), ', or a ',
        el('b', {}, 'recording'), ' of the positions:'),
      el('pre', {}, RECORDER)],
    scan && scan.text ? el('p', {}, scan.text) : null,
    el('dl', {}, el('dt', {}, 'log directory'), el('dd', {}, overview.logdir || 'not known'),
      el('dt', {}, 'checkpoints found'), el('dd', {}, number(scan ? scan.num_checkpoints : 0)),
      el('dt', {}, 'directories searched'), el('dd', {}, number(scan ? scan.num_directories : null))),
    (overview.notes || []).map((note) => el('p', {class: 'muted'}, note)));
}

export function errorPage(error, onRetry) {
  return el('div', {class: 'page'}, el('h1', {}, 'The tab could not be filled'), ...errorWords(error, onRetry));
}

export function errorWords(error, onRetry) {
  return [el('p', {role: 'alert'}, `${error.message}${error.status ? ` (${error.status})` : ''}`),
    error.hint ? el('p', {class: 'muted'}, error.hint) : null,
    onRetry ? retryButton(onRetry) : null].filter(Boolean);
}

function closeButton(onClose) {
  return el('button', {type: 'button', class: 'small', 'aria-label': 'Close this note', on: {click: onClose}}, '×');
}

function retryButton(onRetry) {
  return el('button', {type: 'button', class: 'small', data: {key: 'retry'}, on: {click: onRetry}}, 'try again');
}
