// The page: holds what is chosen, follows links, the theme and what the host tells, and keeps the content fresh.
import {setState} from './busy.js';
import {checkpointKey} from './checkpoints.js';
import {Content} from './content.js';
import {checkpointName} from './details.js';
import {repaint} from './elements.js';
import {paletteOf} from './palette.js';
import {Poller} from './poller.js';
import {restartWindow} from './restarts.js';
import {emptyPage, errorPage} from './status.js';
import {drawnRuns, firstView, parseStepKey, parseView, stepKey, viewKeys, withoutUnknown} from './viewstate.js';

const DETAIL_DELAY_MS = 200;

export function start(root, api, host) {
  const app = new App(root, api, host);
  app.open();
  return app;
}

class App {
  constructor(root, api, host) {
    Object.assign(this, {root, api, host, overview: null, view: null, ignored: [], gone: [], known: new Map(), isAwaiting: false});
    this.content = new Content(this, this.actions());
    this.poller = new Poller(host, () => this.poll(), api.isLive);
    api.onSearching = (isSearching) => this.content.paintSearch(isSearching);
    setState('loading');
    this.paintTheme();
    this.showParts();
    host.onTheme(() => this.paintTheme());
    host.onState(() => this.followLink());
    host.onVisible(() => this.comeBack());
  }

  actions() {
    const choose = (key) => this.change({sel: key});
    return {
      choose, change: (patch) => this.change(patch), chooseStep: (run, attempt, step) => choose(stepKey(attempt, step)),
      compare: (id) => this.compare(id), stopComparing: () => this.change({vs: null}), clear: () => this.change({sel: null, vs: null}),
      zoom: (range) => this.zoom(range), showRestart: (run, number) => this.showRestart(run, number),
      showFiles: (count) => this.content.showFiles(count),
    };
  }

  showParts() {
    const {all} = this.content.parts;
    if (all[0].parentNode !== this.root) repaint(this.root, all);
  }

  async open() {
    setState('loading');
    try {
      this.overview = await this.api.overview();
    } catch (error) {
      this.showPage(errorPage(error, () => this.open()), 'error');
      return;
    }
    this.poller.start(this.overview);
    if (this.isReady()) await this.begin();
    else this.showEmpty();
  }

  // While runs are searched for, that of the link may not be found yet.
  isReady() {
    const {runs} = this.overview;
    const {run} = this.host.readState();
    return runs.length > 0 && !(this.isSearching() && run !== undefined && !runs.some((one) => one.name === run));
  }

  isSearching() {
    const {scan} = this.overview;
    return Boolean(scan) && scan.state === 'running';
  }

  showPage(page, state) {
    this.view = null;
    repaint(this.root, page);
    setState(state);
  }

  showEmpty() {
    this.showPage(emptyPage(this.overview), this.isSearching() ? 'loading' : 'empty');
  }

  async begin() {
    const {view, ignored} = parseView(this.host.readState(), this.overview.runs);
    Object.assign(this, {view, ignored});
    this.showParts();
    this.content.paintToolbar();
    this.content.paintStatus();
    await this.content.load();
  }

  run() {
    return this.overview.runs.find((run) => run.name === this.view.run);
  }

  paintTheme() {
    const theme = this.host.isDark() ? 'dark' : 'light';
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    document.documentElement.style.background = paletteOf(theme === 'dark').paper;
    if (this.view) this.content.drawPlot();
  }

  // What the user chose: only what depends on it is asked for again.
  change(patch) {
    const before = this.view;
    this.view = {...before, ...patch};
    if ('run' in patch) this.view.others = this.view.others.filter((name) => name !== patch.run);
    if (!this.view.sel) this.view.vs = null;
    this.host.writeState(viewKeys(this.view));
    this.content.paintToolbar();
    const isOther = (key) => JSON.stringify(before[key]) !== JSON.stringify(this.view[key]);
    if (isOther('run')) this.content.answers.maxFiles = undefined;
    if (['run', 'others', 'y', 'x', 'reads'].some(isOther)) {
      this.content.load();
      return;
    }
    if (isOther('sel') || isOther('vs')) this.content.choose();
    this.content.drawPlot();
    if (isOther('x0') || isOther('x1')) this.askDetail();
  }

  compare(id) {
    const {sel, vs} = this.view;
    if (!id || parseStepKey(id)) return;
    if (!sel || parseStepKey(sel)) this.change({sel: id});
    else this.change({vs: vs === id ? null : id});
  }

  zoom(range) {
    this.change(range ? {x0: range.from, x1: range.to} : {x0: null, x1: null});
  }

  // After a zoom, the same with more points of what is visible.
  askDetail() {
    const {x0, x1} = this.view;
    this.content.busy.during(async () => {
      await new Promise((resolve) => setTimeout(resolve, DETAIL_DELAY_MS));
      if (this.view && this.view.x0 === x0 && this.view.x1 === x1) await this.content.loadPlot();
    });
  }

  showRestart(run, number) {
    const found = this.content.answers.series.find((one) => one.name === run);
    const range = found && restartWindow(found.answer, number);
    if (!range) return;
    this.zoom(range);
    this.content.parts.plot.element.scrollIntoView({block: 'nearest'});
  }

  // What is not there is not chosen any more, and not in the address. A search may still find what was never seen.
  forgetUnknown(rows) {
    for (const row of rows) this.known.set(checkpointKey(row), checkpointName(row, row.path));
    const attempts = this.overview.runs.flatMap((run) => run.attempts.map((attempt) => attempt.id));
    const {view, unknown} = withoutUnknown(this.view, rows.map(checkpointKey), attempts);
    const isGone = ({key}) => this.known.has(key);
    this.isAwaiting = unknown.length > 0 && this.isSearching() && !unknown.some(isGone);
    if (!unknown.length || this.isAwaiting) return;
    this.view = view;
    this.gone = [...new Set([...this.gone, ...unknown.filter(isGone).map(({key}) => this.known.get(key))])];
    this.ignored.push(...unknown.filter((one) => !isGone(one)).map(({name, key}) => `${name}=${key}`));
    this.host.writeState(viewKeys(view));
  }

  followLink() {
    const keys = this.host.readState();
    const known = Object.entries(viewKeys(this.view || firstView([]))).filter(([, value]) => value !== null);
    if (this.view && Object.keys(keys).length && JSON.stringify(keys) !== JSON.stringify(Object.fromEntries(known))) this.begin();
  }

  comeBack() {
    if (this.view) this.host.writeState(viewKeys(this.view));
    this.paintTheme();
    this.content.parts.plot.resize();
    this.poller.now();
  }

  // Fresh numbers; the rest is asked for again only where the runs in view have changed. Focus, scroll and zoom stay.
  async poll(isForced = false) {
    const before = this.overview;
    await this.content.attempt('overview', async () => {
      this.overview = await this.api.overview();
    }, () => this.view && this.content.paintStatus());
    if (this.content.errors.overview) return before;
    if (!this.overview.runs.length || (!this.view && !this.isReady())) this.showEmpty();
    else if (!this.view) await this.begin();
    else if (!this.run()) {
      this.ignored.push(`run=${this.view.run}`);
      this.change(firstView(this.overview.runs));
    } else await this.refresh(before.runs, isForced);
    return this.overview;
  }

  async refresh(before, isForced) {
    const isOver = this.isAwaiting && !this.isSearching();
    const inView = (runs) => JSON.stringify(drawnRuns(this.view).map((name) => runs.find((run) => run.name === name)));
    this.content.paintToolbar();
    if (isForced || isOver || inView(before) !== inView(this.overview.runs)) await this.content.load(true);
    else this.content.paintStatus();
  }
}
