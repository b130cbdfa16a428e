// The table of checkpoints: the text form of the plot's marks.
import {baseName, clock, el, number, repaint, shortNames} from './elements.js';
import {countOf, footnotes, markedCount, recordText} from './position.js';
import {VERDICT_NAMES, verdictName, verdictOf} from './palette.js';
import {SortedTable} from './tables.js';
import {stepKey} from './viewstate.js';

const SOURCES = {disk: 'on disk', recorded: 'record only', both: 'disk, record'};

export class CheckpointTable {
  // `actions`: {choose(key), compare(id)}
  constructor(actions) {
    this.actions = actions;
    this.rows = [];
    this.shown = new Set(VERDICT_NAMES);
    this.view = {};
    this.isCompared = false;
    this.filter = el('div', {class: 'filter', role: 'group', 'aria-label': 'Show verdicts'});
    this.table = new SortedTable(this.columns(), {
      caption: 'Checkpoints', empty: 'No checkpoints.', rowKey: checkpointKey, isChosen: (row) => this.isChosen(row),
      buttonLabel: (row) => this.buttonLabel(row),
      rowClass: (row) => (this.isCompareMate(row) ? 'vs' : null),
      onChoose: (row, event) => (event.shiftKey && row.id ? actions.compare(row.id) : actions.choose(checkpointKey(row))),
    });
    const title = el('div', {class: 'title'}, el('h2', {}, 'Checkpoints'), this.filter);
    this.footnotes = el('div', {class: 'footnotes muted'});
    this.element = el('section', {id: 'checkpoints'}, title, this.table.element, this.footnotes);
  }

  columns() {
    const counted = (label, key, field) => ({label, key, isNumber: true, value: (row) => countOf(row, field).value,
                                             cell: (row) => markedCount(countOf(row, field))});
    const plain = (label, key, value, extra) => ({label, key, value, cell: (row) => number(value(row)), isNumber: true, ...extra});
    return [
      plain('step', 'step', checkpointStep),
      {label: 'run', key: 'run', value: (row) => row.run, cell: (row) => row.run, isHidden: () => !this.isCompared},
      plain('attempt', 'attempt', (row) => row.attempt_number),
      {label: 'verdict', key: 'verdict', value: (row) => VERDICT_NAMES.indexOf(verdictName(row.verdict)),
       cell: (row) => verdictBadge(row.verdict)},
      counted('examples', 'examples', 'examples_consumed'),
      counted('epoch', 'epoch', 'epoch'),
      {label: 'file @ record', key: 'file', value: nextRecordText, class: 'file',
       cell: (row) => el('span', {title: nextRecordText(row)}, this.shortRecord(row) || '–')},
      {label: 'why', key: 'why', value: checkpointReason, class: 'why',
       cell: (row) => el('span', {title: checkpointReason(row)}, checkpointReason(row))},
      {label: 'saved', key: 'saved', value: (row) => row.saved_s, class: 'time',
       cell: (row) => el('span', {title: clock(row.saved_s)}, clock(row.saved_s).slice(0, 16))},
      {label: 'source', key: 'source', value: (row) => row.source, class: 'source',
       cell: (row) => SOURCES[row.source] || row.source || '–'},
      {label: 'compare', key: 'compare', cell: (row) => this.compareButton(row)},
    ];
  }

  compareButton(row) {
    if (!row.id) return null;
    const isMate = this.isCompareMate(row);
    return el('button', {type: 'button', class: 'small', 'aria-pressed': String(isMate), data: {key: `compare ${row.id}`},
                         'aria-label': `compare the checkpoint of step ${checkpointStep(row)}`,
                         on: {click: (event) => {
                           event.stopPropagation();
                           this.actions.compare(row.id);
                         }}}, isMate ? 'compared' : 'compare');
  }

  // What a screen reader says of the button that chooses a row.
  buttonLabel(row) {
    const words = `step ${number(checkpointStep(row))}, ${verdictOf(row.verdict).word}`;
    return this.isCompared ? `${words}, of ${row.run}` : words;
  }

  shortRecord(row) {
    const {value: next, mark} = nextRecord(row);
    return next ? recordText(next, this.fileNames.get(baseName(next.file))) + mark : null;
  }

  isChosen(row) {
    return checkpointKey(row) === this.view.sel;
  }

  isCompareMate(row) {
    return row.id !== null && row.id === this.view.vs;
  }

  show(rows, view, isCompared) {
    this.rows = rows;
    this.view = view;
    this.isCompared = isCompared;
    const records = rows.map((row) => nextRecord(row).value).filter((record) => record && record.file);
    const files = [...new Set(records.map((record) => baseName(record.file)))];
    const names = shortNames(files);
    this.fileNames = new Map(files.map((file, i) => [file, names[i]]));
    this.paint(view.sel);
  }

  choose(view) {
    this.view = view;
    this.paint(view.sel);
  }

  paint(revealed) {
    repaint(this.footnotes, footnotes(this.rows.flatMap(shownCounts)).map((text) => el('p', {}, text)));
    const names = VERDICT_NAMES.filter((name) => this.rows.some((row) => verdictName(row.verdict) === name));
    repaint(this.filter, names.length < 2 ? [] : names.map((name) => this.filterButton(name)));
    this.table.options.empty = this.rows.length ? 'No checkpoint with a verdict that is shown.' : 'No checkpoints.';
    this.table.show(this.rows.filter((row) => this.shown.has(verdictName(row.verdict))), revealed);
  }

  filterButton(name) {
    const count = this.rows.filter((row) => verdictName(row.verdict) === name).length;
    return el('button', {type: 'button', class: 'small', 'aria-pressed': String(this.shown.has(name)), data: {key: `filter ${name}`},
                         on: {click: () => {
                           if (!this.shown.delete(name)) this.shown.add(name);
                           this.paint();
                         }}}, verdictBadge(name), ` ${number(count)}`);
  }
}

// `other`: a word instead of the verdict's
export function verdictBadge(name, other = null) {
  const {mark, word} = verdictOf(name);
  return el('span', {class: `verdict ${verdictName(name)}`}, el('span', {class: 'mark', 'aria-hidden': 'true'}, mark), ` ${other || word}`);
}

// A checkpoint that cannot be opened any more is still a step.
export function checkpointKey(row) {
  return row.id || stepKey(row.attempt || row.run, checkpointStep(row));
}

export function checkpointStep(row) {
  for (const holder of [row.position, row.checkpoint, row]) {
    if (holder && holder.step !== null && holder.step !== undefined) return holder.step;
  }
  return null;
}

// What forces the verdict; nothing where it is exact.
export function checkpointReason(row) {
  const words = row.why || (row.error && (row.error.message || String(row.error)));
  return words || (row.verdict === 'exact' ? '' : row.headline || '');
}

function nextRecord(row) {
  return countOf(row, 'next_record');
}

function nextRecordText(row) {
  const {value, mark} = nextRecord(row);
  return value ? recordText(value) + mark : null;
}

function shownCounts(row) {
  return ['examples_consumed', 'epoch', 'next_record'].map((field) => countOf(row, field));
}
