// How often each part of each file was read, by epoch: files across when they are few, else one row for each.
import {el, number, plural, rangeText, repaint, shortNames} from './elements.js';
import {READ_MARKS} from './palette.js';

const MAX_ACROSS = 12;
const MAX_PIECES = 120;
const MAX_RANGES = 12;
// No more are ever given.
const MOST_FILES = 2000;

export class CoverageTable {
  // `isLive`: more files can be asked for
  constructor(onMore, isLive) {
    Object.assign(this, {onMore, isLive});
    this.body = el('div', {});
    this.element = el('section', {id: 'coverage'}, el('h2', {}, 'Source files'), this.body);
  }

  say(...content) {
    repaint(this.body, el('p', {class: 'muted'}, ...content));
  }

  show(answer) {
    if (answer.reason || !answer.cells.length) {
      this.say(answer.reason || 'Nothing was read.');
      return;
    }
    const cells = new Map(answer.cells.map((cell) => [`${cell.file} ${cell.epoch}`, cell]));
    const cellOf = (file, epoch) => coverageCell(cells.get(`${file.index} ${epoch}`), file, epoch);
    const isAcross = answer.files.length <= MAX_ACROSS && !answer.is_worst_first;
    repaint(this.body, el('p', {class: 'muted'}, headline(answer, isAcross)),
      el('div', {class: 'wide tall', tabindex: '0', role: 'group', 'aria-label': 'Table of files and epochs'},
        isAcross ? filesAcross(answer, cellOf) : filesDown(answer, cellOf)),
      marksLegend(answer), this.more(answer));
  }

  more(answer) {
    const {length} = answer.files;
    if (answer.num_files <= length) return null;
    const amount = `${number(length)} of ${number(answer.num_files)} files`;
    if (!this.isLive) return el('p', {class: 'muted more'}, `${amount}; the rest is in the interactive tab`);
    if (length >= MOST_FILES) return el('p', {class: 'muted more'}, `${amount} are shown`);
    const numShown = Math.min(answer.num_files, MOST_FILES);
    return el('button', {type: 'button', class: 'small', data: {key: 'more files'}, on: {click: () => this.onMore(numShown)}},
      numShown < answer.num_files ? `show ${number(numShown)} of ${number(answer.num_files)} files` : `show all ${number(numShown)} files`);
  }
}

function headline(answer, isAcross) {
  const amount = (shown, all, noun) => (all > shown ? `${number(shown)} of ` : '') + plural(all, noun);
  const files = answer.has_files ? amount(answer.files.length, answer.num_files, 'file') : 'all of the data';
  const epochs = amount(answer.epochs.length, answer.num_epochs, 'epoch');
  const order = answer.is_worst_first ? ', worst first' : '';
  return `${files[0].toUpperCase()}${files.slice(1)}${order}, ${epochs}. Numbers: passes over ${answer.has_files ? 'the file' : 'it'}${isAcross ? ' in that epoch' : ''}. ${answer.basis}`;
}

function filesAcross(answer, cellOf) {
  const names = shortNames(answer.files.map((file) => file.name));
  return el('table', {class: 'coverage'},
    el('thead', {}, el('tr', {}, el('td', {}), answer.files.map((file, i) => fileHeading(file, 'col', names[i])))),
    el('tbody', {}, answer.epochs.map((epoch) => el('tr', {}, el('th', {scope: 'row'}, `epoch ${number(epoch)}`),
      answer.files.map((file) => cellOf(file, epoch))))));
}

function filesDown(answer, cellOf) {
  return el('table', {class: 'coverage'},
    el('thead', {}, el('tr', {}, el('td', {}), answer.epochs.map((epoch) => el('th', {scope: 'col'}, `epoch ${number(epoch)}`)))),
    el('tbody', {}, answer.files.map((file) => el('tr', {}, fileHeading(file, 'row', file.name),
      answer.epochs.map((epoch) => cellOf(file, epoch))))));
}

function fileHeading(file, scope, name) {
  const records = file.num_records === null ? '' : `\n${plural(file.num_records, 'record')}`;
  return el('th', {scope, class: 'file', title: `${file.path || file.name}${records}`}, name);
}

function coverageCell(cell, file, epoch) {
  if (!cell) return el('td', {class: 'none', title: `${file.name}, epoch ${epoch}: not known`}, '–');
  const mark = READ_MARKS[cell.status] || {mark: '?', word: cell.status};
  return el('td', {class: cell.status, title: cellText(cell, file, epoch, mark.word)},
    el('span', {class: 'passes'}, cell.passes === null ? '–' : cell.passes.toFixed(2)),
    el('span', {class: 'mark', 'aria-hidden': 'true'}, mark.mark), el('span', {class: 'offscreen'}, `, ${mark.word}`), partsBar(cell, file));
}

function cellText(cell, file, epoch, word) {
  const lines = [`${file.name}, epoch ${epoch}: ${word}`];
  if (cell.num_repeated) lines.push(`${plural(cell.num_repeated, 'record')} read again`);
  if (cell.num_unread) lines.push(`${plural(cell.num_unread, 'record')} not read`);
  for (const [from, to, reads] of cell.parts.slice(0, MAX_RANGES)) {
    lines.push(`records ${rangeText(from, to)}: ${plural(reads, 'time')}`);
  }
  if (cell.parts.length > MAX_RANGES) lines.push(`and ${plural(cell.parts.length - MAX_RANGES, 'range')} more`);
  return lines.join('\n');
}

// Which parts were read, from the file's first record to its last; darker: read again.
function partsBar(cell, file) {
  const total = cell.num_records || file.num_records;
  if (!total) return null;
  const place = (from, to) => `left:${100 * from / total}%;width:${100 * (to - from) / total}%`;
  return el('span', {class: 'parts', 'aria-hidden': 'true'}, cell.parts.slice(0, MAX_PIECES).map(([from, to, reads]) => (
    reads ? el('i', {class: reads > 1 ? 'again' : null, style: place(from, to)}) : null)));
}

function marksLegend(answer) {
  const isPresent = (status) => answer.cells.some((cell) => cell.status === status);
  const present = Object.keys(READ_MARKS).filter((status) => READ_MARKS[status].mark && isPresent(status));
  if (!present.length) return null;
  return el('p', {class: 'muted marks'}, present.map((status) => el('span', {}, `${READ_MARKS[status].mark} ${READ_MARKS[status].word}`)));
}
