// Bands, epoch lines and the texts at restarts, laid out so that no two overlap. What finds no room is in the hover
// text and in the table of restarts.
import {axisValue} from './axes.js';
import {number, plural, withoutMarkup} from './elements.js';
import {parseStepKey} from './viewstate.js';

const CHARACTER = 6.3;
const ROWS = 3;
const ROW_HEIGHT = 16;
const MAX_RESTART_LINES = 200;

export function decorations(input, frame) {
  const main = input.runs[0].answer;
  const restarts = restartParts(input, main, scaleOf(frame));
  frame.box.top = Math.max(frame.box.top, 14 + restarts.numRows * ROW_HEIGHT);
  const scale = scaleOf(frame);
  const parts = [bandParts(input, main, scale), epochParts(input, main, scale), restarts, railParts(input, frame), chosenParts(input)];
  return {
    shapes: parts.flatMap((part) => part.shapes || []),
    annotations: parts.flatMap((part) => part.annotations || []),
    notes: parts.flatMap((part) => part.notes || []),
  };
}

function scaleOf({x, y, box}) {
  return {
    left: (value) => box.left + (value - x.from) / (x.to - x.from) * (box.right - box.left),
    top: (value) => box.bottom - (value - y.from) / (y.to - y.from) * (box.bottom - box.top),
    isVisible: (value) => value !== null && value >= x.from && value <= x.to,
    box,
  };
}

function bandParts({view, palette, hidden}, answer, scale) {
  const shapes = [];
  const annotations = [];
  let lowest = -Infinity;
  const bands = answer.bands.filter((band) => !hidden.has(`band ${band.kind}`));
  for (const band of bands.filter((one) => one.axis === 'x')) {
    shapes.push({type: 'rect', xref: 'x', yref: 'paper', y0: 0, y1: 1, x0: axisValue(view.x, band.from), x1: axisValue(view.x, band.to),
                 fillcolor: palette[band.kind], line: {width: 0}, layer: 'below'});
  }
  const across = bands.filter((one) => one.axis === 'y').sort((a, b) => b.to - a.to);
  for (const band of across) {
    const isBounded = typeof band.x_from === 'number';
    const [x0, x1] = isBounded ? [axisValue(view.x, band.x_from), axisValue(view.x, band.x_to)] : [0, 1];
    const xref = isBounded ? 'x' : 'paper';
    shapes.push({type: 'rect', xref, yref: 'y', x0, x1, y0: band.from, y1: band.to, layer: 'below',
                 fillcolor: palette[band.kind], line: {width: 1, dash: 'dot', color: palette[`${band.kind}Edge`]}});
    const middle = scale.top((band.from + band.to) / 2);
    if (middle < scale.box.top + 8 || middle > scale.box.bottom - 8 || middle - lowest < 16) continue;
    lowest = middle;
    annotations.push({x: x1, xref, xanchor: 'right', y: (band.from + band.to) / 2, yref: 'y', yanchor: 'middle', showarrow: false,
                      text: withoutMarkup(band.label), font: {size: 11, color: palette.text}, bgcolor: palette.veil});
  }
  return {shapes, annotations};
}

// Labels stand in rows above the plot, each in the first row where it does not touch another.
function restartParts({view, palette, hidden, runs}, answer, scale) {
  if (hidden.has('restarts')) return {numRows: 0};
  const visible = answer.restarts.filter((restart) => scale.isVisible(restart.x)).sort((a, b) => a.x - b.x);
  const shapes = visible.slice(0, MAX_RESTART_LINES).map((restart) => ({
    type: 'line', xref: 'x', yref: 'paper', x0: axisValue(view.x, restart.x), x1: axisValue(view.x, restart.x), y0: 0, y1: 1,
    line: {width: 1, dash: 'dot', color: palette.muted}, layer: 'between'}));
  const annotations = [];
  const ends = Array(ROWS).fill(-Infinity);
  for (const restart of visible) {
    const text = restart.label;
    const width = text.length * CHARACTER + 14;
    const isFlipped = scale.left(restart.x) + width > scale.box.right + 8;
    const left = scale.left(restart.x) - (isFlipped ? width : 0);
    const row = ends.findIndex((end) => end <= left);
    if (row < 0 || left < 0) continue;
    ends[row] = left + width;
    annotations.push({x: axisValue(view.x, restart.x), xref: 'x', xanchor: isFlipped ? 'right' : 'left',
                      y: 1, yref: 'paper', yanchor: 'bottom', yshift: 3 + row * ROW_HEIGHT,
                      showarrow: false, captureevents: true, name: `restart ${restart.number}`, text: withoutMarkup(text),
                      font: {size: 11, color: palette.text}, borderpad: 0});
  }
  const numLeft = visible.length - annotations.length;
  const notes = numLeft ? [`${plural(numLeft, 'label')} of restarts left out for room: zoom in, or see the table`] : [];
  if (runs.length > 1 && (answer.bands.length || answer.epochs.length)) notes.push('bands, labels and epochs are those of the first run');
  return {shapes, annotations, notes, numRows: ends.filter((end) => end > -Infinity).length};
}

function epochParts({view, palette}, answer, scale) {
  const visible = answer.epochs.filter((epoch) => scale.isVisible(epoch.x)).sort((a, b) => a.x - b.x);
  const annotations = [];
  let end = -Infinity;
  for (const epoch of visible) {
    const left = scale.left(epoch.x);
    const text = `epoch ${number(epoch.epoch)}`;
    if (left < end || left + text.length * 5.6 > scale.box.right) continue;
    end = left + text.length * 5.6 + 10;
    annotations.push({x: axisValue(view.x, epoch.x), xref: 'x', xanchor: 'left', y: 0, yref: 'paper', yanchor: 'bottom', showarrow: false,
                      text, font: {size: 10, color: palette.muted}, borderpad: 0});
  }
  const shapes = visible.map((epoch) => ({
    type: 'line', xref: 'x', yref: 'paper', x0: axisValue(view.x, epoch.x), x1: axisValue(view.x, epoch.x), y0: 0, y1: 1,
    line: {width: 1, color: palette.grid}, layer: 'below'}));
  return {shapes, annotations};
}

function railParts({palette}, frame) {
  if (frame.rail === null) return {};
  const height = frame.y.railTop;
  return {
    shapes: [{type: 'line', xref: 'paper', yref: 'y', x0: 0, x1: 1, y0: height, y1: height, layer: 'below',
              line: {width: 1, color: palette.edge}}],
    annotations: [{x: 1, xref: 'paper', xanchor: 'right', y: height, yref: 'y', yanchor: 'bottom', showarrow: false,
                   text: 'below: position not stored', font: {size: 10, color: palette.muted}, borderpad: 0}],
  };
}

// What is chosen, checkpoints or a step, as lines down to the axis.
function chosenParts({view, palette, runs}) {
  const isChosen = (point) => point.x !== null && point.id !== null && [view.sel, view.vs].includes(point.id);
  const places = runs.flatMap((run) => run.answer.checkpoints).filter(isChosen).map((point) => point.x);
  const at = parseStepKey(view.sel);
  const lines = at ? runs.flatMap((run) => run.answer.lines).filter((line) => line.attempt === at.attempt) : [];
  places.push(...lines.flatMap((line) => stepPlace(line, at.step)).slice(0, 1));
  return {shapes: places.map((place) => ({
    type: 'line', xref: 'x', yref: 'paper', x0: axisValue(view.x, place), x1: axisValue(view.x, place), y0: 0, y1: 1,
    line: {width: 1, color: palette.text}, layer: 'between'}))};
}

// Where a step is on a line: it may lie between two of the points that are drawn.
function stepPlace(line, step) {
  const at = line.step.findIndex((one) => one >= step);
  return at < 0 || (at === 0 && line.step[0] !== step) ? [] : [line.x[at]];
}
