// What is in view: asks for it and shows it. Everything that it shows is in an answer; what to show is the app's.
import {Answers} from './answers.js';
import {Busy} from './busy.js';
import {paletteOf} from './palette.js';
import {pageParts} from './parts.js';
import {errorWords, goneNotice, ignoredNotice, paintNotices, runNotices} from './status.js';
import {drawnRuns} from './viewstate.js';

export class Content {
  // `app`: {api, host, overview, view, ignored, gone, run(), forgetUnknown(rows), poll(isForced)}
  constructor(app, actions) {
    Object.assign(this, {app, library: undefined, errors: {}});
    this.answers = new Answers(app.api);
    this.parts = pageParts(this.answers, () => app.host.link(), actions);
    this.busy = new Busy(() => this.settle());
  }

  settle() {
    if (!this.app.view) return null;
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
      if (!await this.answers.askRows(this.app.view)) return;
      this.app.forgetUnknown(this.answers.rows);
      this.parts.checkpoints.show(this.answers.rows, this.app.view, this.isCompared());
      this.parts.restarts.show(this.answers.restarts, this.isCompared());
      this.showDetails(isQuiet);
    }, () => this.paintStatus());
  }

  loadCoverage() {
    return this.attempt('coverage', async () => {
      if (await this.answers.askCoverage(this.app.view)) this.parts.coverage.show(this.answers.coverage);
    }, (error) => this.parts.coverage.say(...errorWords(error)));
  }

  loadPlot() {
    return this.attempt('series', async () => {
      const isFirst = this.library === undefined;
      const library = isFirst ? this.app.api.chart().catch(() => null) : this.library;
      if (isFirst) this.parts.plot.say('Loading the chart library …');
      const series = await this.answers.askSeries(this.app.view);
      this.library = await library;
      if (series) await this.drawPlot();
    }, (error) => this.parts.plot.say(...errorWords(error, () => this.app.poll(true))));
  }

  async drawPlot() {
    const {series} = this.answers;
    if (!series.length || this.library === undefined) return;
    await this.parts.plot.draw(this.library, {runs: series, view: this.app.view, palette: paletteOf(this.app.host.isDark())});
  }

  showDetails(isQuiet = false) {
    return this.parts.panel.show(this.app.view, this.app.overview.runs, isQuiet);
  }

  // Another checkpoint or step; nothing is asked for but its details.
  choose() {
    this.parts.checkpoints.choose(this.app.view);
    this.showDetails();
  }

  showFiles(count) {
    this.answers.maxFiles = count;
    return this.busy.during(() => this.loadCoverage());
  }

  isCompared() {
    return drawnRuns(this.app.view).length > 1;
  }

  paintToolbar() {
    this.parts.toolbar.show(this.app.overview.runs, this.app.view);
  }

  paintStatus() {
    const {app} = this;
    const run = app.run();
    if (!run) return;
    if (!this.isSearching) this.parts.status.show(run, app.overview.scan, app.api.isLive);
    const found = this.answers.series.find((one) => one.name === run.name);
    const notices = runNotices(run, app.overview, found ? found.answer : null);
    const error = this.errors.overview || this.errors.rows;
    if (error) {
      notices.unshift({level: 'error', text: error.message, hint: error.hint, onRetry: () => app.poll(true)});
    }
    this.unshiftClosable(notices, 'gone', goneNotice);
    this.unshiftClosable(notices, 'ignored', ignoredNotice);
    paintNotices(this.parts.bars, notices);
  }

  unshiftClosable(notices, list, lay) {
    if (!this.app[list].length) return;
    notices.unshift(lay(this.app[list], () => {
      this.app[list] = [];
      this.paintStatus();
    }));
  }

  // While the server does not yet know what was asked for.
  paintSearch(isSearching) {
    this.isSearching = isSearching;
    if (isSearching) this.parts.status.say('searching for runs …');
    else if (this.app.view) this.paintStatus();
  }
}
