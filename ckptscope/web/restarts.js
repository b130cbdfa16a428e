// The table of restarts: the text form of the plot's bands.
import {baseName, el, number, rangesText} from './elements.js';
import {SortedTable} from './tables.js';

// The part of the x axis that shows what a restart read again, or where it was; null where that is not known.
export function restartWindow({bands, restarts, range}, number) {
  const restart = restarts.find((one) => one.number === number);
  const band = bands.find((one) => one.restart === number && one.axis === 'x');
  const ends = [restart && restart.x, band && band.from, band && band.to].filter((value) => typeof value === 'number');
  if (!ends.length || !range) return null;
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  const margin = Math.max((to - from) * 0.4, (range.to - range.from) * 0.02);
  return {from: from - margin, to: to + margin};
}

export class RestartTable {
  constructor(onShow) {
    this.isCompared = false;
    this.table = new SortedTable(this.columns(), {
      caption: 'Restarts', empty: 'No restarts recorded.', rowKey: (row) => `restart ${row.run} ${row.number}`,
      onChoose: (row) => onShow(row.run, row.number), buttonLabel: (row) => `restart by attempt ${number(row.number)}, show it in the plot`,
    });
    this.element = el('section', {id: 'restarts'}, el('h2', {}, 'Restarts'), this.table.element);
  }

  columns() {
    const plain = (label, key, value, extra) => ({label, key, value, cell: (row) => number(value(row)), isNumber: true, ...extra});
    const amount = (label, mark) => ({
      label, key: label, value: (row) => row[`num_${label}`], isNumber: true,
      cell: (row) => amountCell(mark, row[`num_${label}`], row[`${label}_elements`], row[`num_${label}_kept`]),
    });
    return [
      plain('attempt', 'number', (row) => row.number),
      {label: 'run', key: 'run', value: (row) => row.run, cell: (row) => row.run, isHidden: () => !this.isCompared},
      plain('from step', 'step', (row) => row.step),
      {label: 'checkpoint', key: 'from', value: (row) => row.restored_from, cell: (row) => baseName(row.restored_from)},
      plain('lost steps', 'lost', (row) => row.dead_steps, {cell: lostCell}),
      amount('repeated', '↺'),
      amount('skipped', '⇥'),
      {label: 'what happened', key: 'text', value: (row) => row.text, cell: (row) => row.text || row.label, class: 'text'},
    ];
  }

  show(rows, isCompared) {
    this.isCompared = isCompared;
    this.element.hidden = !rows.length;
    this.table.show(rows);
  }
}

// Steps behind the last that was written may have been made, too.
function lostCell(row) {
  if (row.dead_steps_complete !== false) return number(row.dead_steps);
  return el('span', {title: 'the attempt was not closed: steps that were not written any more are lost, too'}, `≥ ${number(row.dead_steps)}`);
}

function amountCell(mark, count, ranges, kept) {
  if (count === null || count === undefined) return el('span', {class: 'muted'}, 'not known');
  const words = ranges ? [`examples ${rangesText(ranges)}`] : [];
  const isPart = typeof kept === 'number' && kept !== count;
  if (isPart) words.push(`${number(kept)} of ${number(count)} in steps that survive`);
  return el('span', {title: words.join('; ')}, count ? `${mark} ${isPart ? `${number(kept)} of ` : ''}${number(count)}` : '0');
}
