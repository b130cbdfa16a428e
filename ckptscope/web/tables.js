// A table that sorts by its headings, in pages, with rows that can be reached and chosen by keyboard:
// the first cell of each is a button.
import {el, number, repaint} from './elements.js';

const PAGE = 500;

export class SortedTable {
  // `columns`: [{key, label, value(row), cell(row), isNumber, class, isHidden()}]
  // `options`: {caption, empty, rowKey(row), onChoose(row, event), isChosen(row), rowClass(row), buttonLabel(row)}
  constructor(columns, options) {
    this.columns = columns;
    this.options = options;
    this.order = {key: columns[0].key, isDown: false};
    this.page = 0;
    this.rows = [];
    this.head = el('tr', {});
    this.body = el('tbody', {});
    this.pager = el('div', {class: 'pager'});
    this.table = el('table', {class: 'rows'}, el('caption', {class: 'offscreen'}, options.caption), el('thead', {}, this.head), this.body);
    this.element = el('div', {}, el('div', {class: 'wide'}, this.table), this.pager);
  }

  shownColumns() {
    return this.columns.filter((column) => !column.isHidden || !column.isHidden());
  }

  // `revealed`: the key of a row whose page should be in front.
  show(rows, revealed) {
    this.rows = this.sorted(rows);
    const at = revealed ? this.rows.findIndex((row) => this.options.rowKey(row) === revealed) : -1;
    if (at >= 0) this.page = Math.floor(at / PAGE);
    this.page = Math.max(0, Math.min(this.page, Math.ceil(this.rows.length / PAGE) - 1));
    this.paint();
  }

  paint() {
    repaint(this.head, this.shownColumns().map((column) => this.heading(column)));
    const rows = this.rows.slice(this.page * PAGE, (this.page + 1) * PAGE);
    repaint(this.body, rows.length ? rows.map((row) => this.row(row)) : [this.emptyRow()]);
    repaint(this.pager, this.rows.length > PAGE ? this.pages() : []);
  }

  heading(column) {
    const isSorted = this.order.key === column.key;
    const sort = isSorted ? (this.order.isDown ? 'descending' : 'ascending') : 'none';
    const arrow = isSorted ? (this.order.isDown ? ' ▾' : ' ▴') : '';
    const content = column.value
      ? el('button', {type: 'button', data: {key: `sort ${column.key}`}, on: {click: () => this.sortBy(column)}}, column.label + arrow)
      : el('span', {class: 'offscreen'}, column.label);
    return el('th', {scope: 'col', class: column.isNumber ? 'n' : null, 'aria-sort': column.value ? sort : null}, content);
  }

  row(row) {
    const {rowKey, onChoose, rowClass} = this.options;
    const isAsked = (event) => event.target === event.currentTarget && (event.key === 'Enter' || event.key === ' ');
    return el('tr', {
      tabindex: '-1', class: rowClass ? rowClass(row) : null, data: {key: rowKey(row)},
      'aria-current': this.options.isChosen && this.options.isChosen(row) ? 'true' : null,
      on: {
        click: (event) => onChoose(row, event),
        keydown: (event) => {
          if (isAsked(event)) {
            event.preventDefault();
            onChoose(row, event);
          } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') this.step(event);
        },
      },
    }, this.shownColumns().map((column, i) => el('td', {class: column.isNumber ? 'n' : column.class},
      i ? column.cell(row) : this.rowButton(row, column))));
  }

  // Its click is the row's.
  rowButton(row, column) {
    const {rowKey, buttonLabel} = this.options;
    return el('button', {type: 'button', class: 'choose', 'aria-label': buttonLabel(row), data: {key: `choose ${rowKey(row)}`}}, column.cell(row));
  }

  step(event) {
    const next = event.key === 'ArrowDown' ? event.currentTarget.nextElementSibling : event.currentTarget.previousElementSibling;
    if (!next || !next.hasAttribute('tabindex')) return;
    event.preventDefault();
    (event.target === event.currentTarget ? next : next.querySelector('button.choose')).focus();
  }

  emptyRow() {
    return el('tr', {class: 'none'}, el('td', {colspan: this.shownColumns().length, class: 'muted'}, this.options.empty));
  }

  sortBy(column) {
    this.order = {key: column.key, isDown: this.order.key === column.key && !this.order.isDown};
    this.page = 0;
    this.rows = this.sorted(this.rows);
    this.paint();
  }

  // Unknown values come last, whichever way.
  sorted(rows) {
    const column = this.columns.find((one) => one.key === this.order.key);
    const sign = this.order.isDown ? -1 : 1;
    const isUnknown = (value) => value === null || value === undefined;
    return [...rows].sort((a, b) => {
      const [left, right] = [column.value(a), column.value(b)];
      if (isUnknown(left) || isUnknown(right)) return Number(isUnknown(left)) - Number(isUnknown(right));
      if (typeof left === 'number' && typeof right === 'number') return sign * (left - right);
      return sign * String(left).localeCompare(String(right), 'en', {numeric: true});
    });
  }

  pages() {
    const last = Math.ceil(this.rows.length / PAGE) - 1;
    const first = this.page * PAGE + 1;
    const go = (by) => {
      this.page += by;
      this.paint();
    };
    const button = (text, by, isEnd) => el('button', {type: 'button', class: 'small', disabled: isEnd, data: {key: `page ${by}`},
                                                      on: {click: () => go(by)}}, text);
    return [
      button('‹ before', -1, this.page === 0),
      el('span', {}, `rows ${number(first)} to ${number(Math.min(this.rows.length, first + PAGE - 1))} of ${number(this.rows.length)}`),
      button('next ›', 1, this.page === last),
    ];
  }
}
