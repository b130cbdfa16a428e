// The answers to what is in view, asked for together. Answers that come after another question are dropped.
import {drawnRuns} from './viewstate.js';

const NUM_POINTS = 2000;

export class Answers {
  constructor(api) {
    this.api = api;
    this.turns = {};
    this.maxFiles = undefined;
    this.forget();
  }

  forget() {
    this.series = [];
    this.rows = [];
    this.restarts = [];
    this.coverage = null;
  }

  // Starts one kind of question; the function it returns tells whether it is still the last of its kind.
  begin(kind) {
    const turn = (this.turns[kind] || 0) + 1;
    this.turns[kind] = turn;
    return () => this.turns[kind] === turn;
  }

  // [{name, answer}], or null where another question came between.
  async askSeries(view) {
    const isLast = this.begin('series');
    const runs = drawnRuns(view);
    const window = view.x0 === null ? {} : {from: view.x0, to: view.x1};
    const n = Math.max(400, Math.round(NUM_POINTS / runs.length));
    const series = await Promise.all(runs.map(async (run) => (
      {name: run, answer: await this.api.series({run, y: view.y, x: view.x, reads: view.reads, ...window, n})})));
    if (!isLast()) return null;
    this.series = series;
    return series;
  }

  async askRows(view) {
    const isLast = this.begin('rows');
    const answers = await Promise.all(drawnRuns(view).map(async (run) => ({run, answer: await this.api.checkpoints(run)})));
    if (!isLast()) return false;
    const joined = (key) => answers.flatMap(({run, answer}) => (answer[key] || []).map((item) => ({...item, run})));
    this.rows = joined('history');
    this.restarts = joined('restarts');
    return true;
  }

  async askCoverage(view) {
    const isLast = this.begin('coverage');
    const coverage = await this.api.coverage({run: view.run, reads: view.reads, limit: this.maxFiles});
    if (!isLast()) return false;
    this.coverage = coverage;
    return true;
  }
}
