// What is shown, as a plain object, and its form in the address: the keys of a deep link.
import {plural} from './elements.js';

export const CHOICES = {
  y: [['examples', 'examples'], ['epoch', 'epoch'], ['record', 'file and record']],
  x: [['step', 'step'], ['time', 'wall time']],
  reads: [['effective', 'effective'], ['all', 'all']],
};

// More lines than this cannot be told apart.
export const MAX_DRAWN = 8;

export function firstView(runs) {
  return {run: runs.length ? runs[0].name : null, others: [], sel: null, vs: null,
          y: 'examples', x: 'step', reads: 'effective', x0: null, x1: null};
}

// The view that a link asks for. What is not known here is left out and told.
export function parseView(raw, runs) {
  const view = firstView(runs);
  const ignored = [];
  const isRun = (name) => runs.some((run) => run.name === name);
  const ignore = (key) => ignored.push(`${key}=${raw[key]}`);
  if (raw.run !== undefined) isRun(raw.run) ? view.run = raw.run : ignore('run');
  if (raw.with) {
    const names = raw.with.split(',').map(decoded);
    view.others = names.filter((name) => isRun(name) && name !== view.run);
    const numLost = names.filter((name) => !isRun(name)).length;
    if (numLost) ignored.push(`${plural(numLost, 'run')} to compare`);
  }
  for (const key of Object.keys(CHOICES)) {
    if (raw[key] === undefined) continue;
    CHOICES[key].some(([value]) => value === raw[key]) ? view[key] = raw[key] : ignore(key);
  }
  if (raw.sel) view.sel = raw.sel;
  if (raw.vs) view.vs = raw.vs;
  const [from, to] = [Number(raw.x0 || NaN), Number(raw.x1 || NaN)];
  if (Number.isFinite(from) && Number.isFinite(to) && from < to) [view.x0, view.x1] = [from, to];
  else for (const key of ['x0', 'x1']) if (raw[key] !== undefined) ignore(key);
  return {view, ignored};
}

// Without choices that nothing here answers to.
export function withoutUnknown(view, keys, attempts) {
  const isStep = (key) => parseStepKey(key) !== null && attempts.includes(parseStepKey(key).attempt);
  const isKnown = (name) => !view[name] || keys.includes(view[name]) || (name === 'sel' && isStep(view[name]));
  const unknown = ['sel', 'vs'].filter((name) => !isKnown(name));
  const kept = {...view, ...Object.fromEntries(unknown.map((name) => [name, null]))};
  if (!kept.sel) kept.vs = null;
  return {view: kept, unknown: unknown.map((name) => ({name, key: view[name]}))};
}

// The keys of a link; null takes one out of the address.
export function viewKeys(view) {
  const unlessDefault = (key) => (view[key] === CHOICES[key][0][0] ? null : view[key]);
  return {
    run: view.run,
    with: view.others.length ? view.others.map(encodeURIComponent).join(',') : null,
    sel: view.sel, vs: view.vs,
    y: unlessDefault('y'), x: unlessDefault('x'), reads: unlessDefault('reads'),
    x0: rounded(view.x0, view), x1: rounded(view.x1, view),
  };
}

// The run in front and those beside it, as many as are drawn.
export function drawnRuns(view) {
  return [view.run, ...view.others].slice(0, MAX_DRAWN);
}

// A step is chosen as "attempt:step", a checkpoint by its id.
export function stepKey(attempt, step) {
  return `${attempt}:${step}`;
}

export function parseStepKey(key) {
  const match = /^([0-9A-Za-z_-]+):(\d+)$/.exec(key || '');
  return match ? {attempt: match[1], step: Number(match[2])} : null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return text;
  }
}

function rounded(value, view) {
  if (value === null) return null;
  const digits = view.x1 - view.x0 < 20 ? 3 : 0;
  return String(Number(value.toFixed(digits)));
}
