// The box of the chart: the life of the library's plot in it, its size, zoom and keyboard.
import {axisNumber} from './axes.js';
import {el, repaint} from './elements.js';
import {buildFigure} from './figure.js';
import {paintLegend} from './legend.js';
import {stepKey} from './viewstate.js';

const HEIGHT = 440;
const KEYS = 'Drag to zoom, double click for all. Keys in the plot: ← → Home End move between checkpoints, ' +
  'C keeps one to compare, + − zoom, Esc clears.';
const CHART_CONFIG = {displaylogo: false, displayModeBar: false, responsive: false, doubleClick: false, scrollZoom: false};

export class PlotBox {
  // `actions`: {choose(id), compare(id), chooseStep(run, attempt, step), zoom(range or null), showRestart(run, number), clear()}
  constructor(actions) {
    this.actions = actions;
    this.hidden = new Set();
    this.canvas = el('div', {id: 'plot', tabindex: '0', role: 'group', 'aria-describedby': 'plot-keys', style: `height:${HEIGHT}px`,
                             'aria-label': 'Data position. The tables below hold the same.', on: {keydown: (event) => this.key(event)}});
    this.legend = el('div', {id: 'legend', role: 'group', 'aria-label': 'Legend'});
    this.notes = el('p', {id: 'plot-notes', class: 'muted'});
    this.element = el('section', {'aria-label': 'Data position'}, el('div', {class: 'plot-head'}, this.legend, this.tools()),
      this.canvas, this.notes, el('p', {id: 'plot-keys', class: 'muted keys'}, KEYS));
    this.library = undefined;
    this.input = null;
    // In a tab at the back the frame has no height: the plot would shrink to nothing.
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  tools() {
    const button = (text, label, click) => el('button', {type: 'button', class: 'small', title: label, 'aria-label': label,
                                                         on: {click: () => this.input && click()}}, text);
    const picture = () => ({format: 'svg', filename: 'data-position', width: this.width, height: HEIGHT});
    return el('div', {id: 'plot-tools', role: 'group', 'aria-label': 'Chart'},
      button('−', 'Zoom out', () => this.zoomBy(2)), button('+', 'Zoom in', () => this.zoomBy(0.5)),
      button('all', 'Show all', () => this.actions.zoom(null)),
      button('save', 'Save the picture', () => this.library.downloadImage(this.canvas, picture())));
  }

  say(...content) {
    this.input = null;
    if (this.library) this.library.purge(this.canvas);
    repaint(this.legend);
    repaint(this.notes);
    this.canvas.classList.add('message');
    repaint(this.canvas, el('div', {}, ...content));
  }

  // Draws and resolves when that is done. `library` null: it is not installed.
  async draw(library, input) {
    this.library = library;
    this.canvas.style.height = `${library ? HEIGHT : 72}px`;
    if (!library) {
      this.say('The chart needs the plotly package: ', el('code', {}, 'pip install plotly'), '. The tables do without.');
      return;
    }
    const {answer} = input.runs[0];
    if (input.runs.every((run) => !run.answer.lines.length && !run.answer.checkpoints.length)) {
      this.say(answer.y.reason || 'Nothing to draw in this run.');
      return;
    }
    if (this.canvas.classList.contains('message')) this.canvas.replaceChildren();
    this.canvas.classList.remove('message');
    this.input = input;
    await this.repaint();
  }

  async repaint() {
    if (!this.input || !this.library) return;
    const width = Math.max(320, this.canvas.clientWidth);
    this.width = width;
    this.figure = buildFigure({...this.input, width, height: HEIGHT, hidden: this.hidden});
    paintLegend(this.legend, this.figure.legend, this.hidden, (key) => this.toggle(key));
    this.notes.textContent = this.figure.notes.join(' · ');
    const isFirst = !this.canvas.classList.contains('js-plotly-plot') || !this.canvas.on;
    await this.library.react(this.canvas, this.figure.data, this.figure.layout, CHART_CONFIG);
    if (isFirst) this.listen();
  }

  listen() {
    this.canvas.removeAllListeners();
    this.canvas.on('plotly_click', (event) => this.click(event.points[0], event.event));
    this.canvas.on('plotly_clickannotation', (event) => this.clickLabel(event.annotation.name || ''));
    this.canvas.on('plotly_doubleclick', () => this.actions.zoom(null));
    this.canvas.on('plotly_relayout', (change) => this.relayout(change));
  }

  click(point, event) {
    const meta = point.data.meta || {};
    const at = point.pointNumber ?? point.pointIndex;
    if (meta.kind === 'line') this.actions.chooseStep(meta.run, meta.attempt, point.data.customdata[at]);
    if (meta.kind === 'restarts') this.actions.showRestart(meta.points[at].run, meta.points[at].number);
    if (meta.kind === 'checkpoints') this.choose(meta.points[at], event && event.shiftKey);
  }

  choose(point, isSecond) {
    if (point.id === null) this.actions.chooseStep(point.run, point.attempt, point.step);
    else if (isSecond) this.actions.compare(point.id);
    else this.actions.choose(point.id);
  }

  clickLabel(name) {
    const match = /^restart (\d+)$/.exec(name);
    if (match) this.actions.showRestart(this.input.runs[0].name, Number(match[1]));
  }

  relayout(change) {
    if (!Object.keys(change).some((key) => key.startsWith('xaxis.range') && !key.startsWith('xaxis.rangeslider'))) return;
    const mode = this.input.view.x;
    const [from, to] = this.canvas.layout.xaxis.range.map((value) => axisNumber(mode, value));
    if (from < to) this.actions.zoom({from, to});
  }

  toggle(key) {
    if (!this.hidden.delete(key)) this.hidden.add(key);
    this.repaint();
  }

  resize() {
    if (window.innerHeight > 0 && this.canvas.clientWidth > 0 && this.canvas.clientWidth !== this.width) this.repaint();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.figure || !this.input) return;
    const {stops} = this.figure;
    const moves = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity};
    if (event.key in moves && stops.length) this.move(moves[event.key]);
    else if (event.key === '+' || event.key === '=') this.zoomBy(0.5);
    else if (event.key === '-') this.zoomBy(2);
    else if (event.key === 'c' || event.key === 'C') this.actions.compare(this.input.view.sel);
    else if (event.key === 'Escape') this.actions.clear();
    else return;
    event.preventDefault();
  }

  move(by) {
    const {stops} = this.figure;
    const at = stops.findIndex((stop) => (stop.id ?? stepKey(stop.attempt, stop.step)) === this.input.view.sel);
    const next = at < 0 && Number.isFinite(by) ? (by > 0 ? 0 : stops.length - 1) : at + by;
    this.choose(stops[Math.max(0, Math.min(stops.length - 1, next))], false);
  }

  zoomBy(factor) {
    const {view} = this.input;
    const whole = this.figure.range;
    const [from, to] = view.x0 === null ? [whole.from, whole.to] : [view.x0, view.x1];
    const half = (to - from) / 2 * factor;
    const middle = (from + to) / 2;
    if (half * 2 >= whole.to - whole.from) this.actions.zoom(null);
    else this.actions.zoom({from: middle - half, to: middle + half});
  }
}
