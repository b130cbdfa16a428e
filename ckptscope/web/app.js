// The page: puts the parts together, holds what is in view, and keeps it fresh. Everything it shows is in an answer.
import {Answers} from './answers.js';
import {Busy, setState} from './busy.js';
import {checkpointKey} from './checkpoints.js';
import {repaint} from './elements.js';
import {paletteOf} from './palette.js';
import {pageParts} from './parts.js';
import {Poller} from './poller.js';
import {restartWindow} from './restarts.js';
import {emptyPage, errorPage, errorWords, ignoredNotice, paintNotices, runNotices, statusLine} from './status.js';
import {drawnRuns, firstView, parseStepKey, parseView, stepKey, viewKeys, withoutUnknown} from './viewstate.js';

const DETAIL_DELAY_MS = 200;

export function start(root, api, host) {
  const app = new App(root, api, host);
  app.open();
  return app;
}

class App {
  constructor(root, api, host) {
    Object.assign(this, {root, api, host, overview: null, view: null, library: undefined, errors: {}, ignored: []});
    this.answers = new Answers(api);
    this.parts = pageParts(this.answers, () => (host.link ? host.link() : location.href), this.actions());
    this.busy = new Busy(() => this.settle());
    this.poller = new Poller(host, () => this.poll(), api.isLive);
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
      showFiles: (count) => this.showFiles(count),
    };
  }

  showParts() {
    const {all} = this.parts;
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
    if (this.overview.runs.length) await this.begin();
    else this.showEmpty();
  }

  showPage(page, state) {
    this.view = null;
    repaint(this.root, page);
    setState(state);
  }

  showEmpty() {
    const isSearching = this.overview.scan && this.overview.scan.state === 'running';
    this.showPage(emptyPage(this.overview), isSearching ? 'loading' : 'empty');
  }

  async begin() {
    const {view, ignored} = parseView(this.host.readState(), this.overview.runs);
    Object.assign(this, {view, ignored});
    this.showParts();
    this.parts.toolbar.show(this.overview.runs, view);
    this.paintStatus();
    await this.load();
  }

  settle() {
    if (!this.view) return null;
    this.paintStatus();
    return Object.values(this.errors).some(Boolean) ? 'error' : 'ready';
  }

  // Everything about what is in view is asked for at once; tables do not wait for the chart's library.
  load(isQuiet = false) {
    return this.busy.during(() => Promise.all([this.loadRows(isQuiet), this.loadCoverage(), this.loadPlot()]));
  }

  async attempt(name, work, onError) {
    try {
      await work();
      this.errors[name] = null;
    } catch (error) {
      this.errors[name] = error;
      onError(error);
    }
  }

  loadRows(isQuiet) {
    return this.attempt('rows', async () => {
      if (!await this.answers.askRows(this.view)) return;
      this.forgetUnknown();
      this.parts.checkpoints.show(this.answers.rows, this.view, this.isCompared());
      this.parts.restarts.show(this.answers.restarts, this.isCompared());
      this.showDetails(isQuiet);
    }, () => this.paintStatus());
  }

  loadCoverage() {
    return this.attempt('coverage', async () => {
      if (await this.answers.askCoverage(this.view)) this.parts.coverage.show(this.answers.coverage);
    }, (error) => this.parts.coverage.say(...errorWords(error)));
  }

  loadPlot() {
    return this.attempt('series', async () => {
      const isFirst = this.library === undefined;
      const library = isFirst ? this.api.chart().catch(() => null) : this.library;
      if (isFirst) this.parts.plot.say('Loading the chart library …');
      const series = await this.answers.askSeries(this.view);
      this.library = await library;
      if (series) await this.drawPlot();
    }, (error) => this.parts.plot.say(...errorWords(error, () => this.poll(true))));
  }

  async drawPlot() {
    const {series} = this.answers;
    if (!series.length || this.library === undefined) return;
    await this.parts.plot.draw(this.library, {runs: series, view: this.view, palette: paletteOf(this.host.isDark())});
  }

  showDetails(isQuiet = false) {
    return this.parts.panel.show(this.view, this.overview.runs, isQuiet);
  }

  isCompared() {
    return drawnRuns(this.view).length > 1;
  }

  run() {
    return this.overview.runs.find((run) => run.name === this.view.run);
  }

  paintStatus() {
    const run = this.run();
    if (!run) return;
    repaint(this.parts.status, statusLine(run, this.overview.scan, this.api.isLive));
    const found = this.answers.series.find((one) => one.name === run.name);
    const notices = runNotices(run, this.overview, found ? found.answer : null);
    const error = this.errors.overview || this.errors.rows;
    if (error) {
      notices.unshift({level: 'error', text: error.message, hint: error.hint, onRetry: () => this.poll(true)});
    }
    if (this.ignored.length) {
      notices.unshift(ignoredNotice(this.ignored, () => {
        this.ignored = [];
        this.paintStatus();
      }));
    }
    paintNotices(this.parts.bars, notices);
  }

  paintTheme() {
    const theme = this.host.isDark() ? 'dark' : 'light';
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    document.documentElement.style.background = paletteOf(theme === 'dark').paper;
    if (this.view) this.drawPlot();
  }

  // What the user chose: only what depends on it is asked for again.
  change(patch) {
    const before = this.view;
    this.view = {...before, ...patch};
    if ('run' in patch) this.view.others = this.view.others.filter((name) => name !== patch.run);
    if (!this.view.sel) this.view.vs = null;
    this.host.writeState(viewKeys(this.view));
    this.parts.toolbar.show(this.overview.runs, this.view);
    const isOther = (key) => JSON.stringify(before[key]) !== JSON.stringify(this.view[key]);
    if (isOther('run')) this.answers.maxFiles = undefined;
    if (['run', 'others', 'y', 'x', 'reads'].some(isOther)) {
      this.load();
      return;
    }
    if (isOther('sel') || isOther('vs')) {
      this.parts.checkpoints.choose(this.view);
      this.showDetails();
    }
    this.drawPlot();
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
    this.busy.during(async () => {
      await new Promise((resolve) => setTimeout(resolve, DETAIL_DELAY_MS));
      if (this.view && this.view.x0 === x0 && this.view.x1 === x1) await this.loadPlot();
    });
  }

  showRestart(run, number) {
    const found = this.answers.series.find((one) => one.name === run);
    const range = found && restartWindow(found.answer, number);
    if (!range) return;
    this.zoom(range);
    this.parts.plot.element.scrollIntoView({block: 'nearest'});
  }

  showFiles(count) {
    this.answers.maxFiles = count;
    return this.busy.during(() => this.loadCoverage());
  }

  forgetUnknown() {
    const attempts = this.overview.runs.flatMap((run) => run.attempts.map((attempt) => attempt.id));
    const {view, ignored} = withoutUnknown(this.view, this.answers.rows.map(checkpointKey), attempts);
    this.view = view;
    this.ignored.push(...ignored);
  }

  followLink() {
    const keys = this.host.readState();
    const known = Object.entries(viewKeys(this.view || firstView([]))).filter(([, value]) => value !== null);
    if (this.view && Object.keys(keys).length && JSON.stringify(keys) !== JSON.stringify(Object.fromEntries(known))) this.begin();
  }

  comeBack() {
    if (this.view) this.host.writeState(viewKeys(this.view));
    this.paintTheme();
    this.parts.plot.resize();
    this.poller.now();
  }

  // Fresh numbers; the rest is asked for again only where the runs in view have changed. Focus, scroll and zoom stay.
  async poll(isForced = false) {
    const before = this.overview;
    await this.attempt('overview', async () => {
      this.overview = await this.api.overview();
    }, () => this.view && this.paintStatus());
    if (this.errors.overview) return before;
    if (!this.overview.runs.length) this.showEmpty();
    else if (!this.view) await this.begin();
    else if (!this.run()) {
      this.ignored.push(`run=${this.view.run}`);
      this.change(firstView(this.overview.runs));
    } else await this.refresh(before.runs, isForced);
    return this.overview;
  }

  async refresh(before, isForced) {
    const inView = (runs) => JSON.stringify(drawnRuns(this.view).map((name) => runs.find((run) => run.name === name)));
    this.parts.toolbar.show(this.overview.runs, this.view);
    if (isForced || inView(before) !== inView(this.overview.runs)) await this.load(true);
    else this.paintStatus();
  }
}
