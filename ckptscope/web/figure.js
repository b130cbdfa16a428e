// From answers to what the chart library draws: lines, checkpoints, restarts, axes. No state, no page.
import {axisRange, axisValue, fileTicks, wholeTicks} from './axes.js';
import {number, plural, withoutMarkup} from './elements.js';
import {EVALUATION_WORDS, VERDICT_NAMES, verdictName, verdictOf} from './palette.js';
import {decorations} from './labels.js';

// The most runs or attempts that the legend names.
const MAX_LEGEND = 10;

// `input`: {runs: [{name, answer}], view, palette, width, height, hidden: set of legend keys}
export function buildFigure(input) {
  const frame = frameOf(input);
  const lines = lineTraces(input, frame);
  const decorated = decorations(input, frame);
  const data = [...lines.traces, ...checkpointTraces(input, frame), restartTrace(input, frame)];
  return {
    data,
    layout: layoutOf(input, frame, decorated),
    legend: [...lines.legend, ...markLegend(input)],
    stops: stopsOf(input),
    notes: [...frame.notes, ...decorated.notes],
    range: frame.whole,
  };
}

// The visible part of both axes and the box in pixels. Heights follow what is visible, so that a zoom shows detail.
function frameOf({runs, view, width, height}) {
  const points = runs.flatMap(({answer}) => [...answer.checkpoints, ...answer.restarts]).filter((point) => point.x !== null);
  const ranges = runs.map(({answer}) => answer.range).filter(Boolean);
  const ends = [...ranges.flatMap((range) => [range.from, range.to]), ...points.map((point) => point.x)];
  const [low, high] = extent(ends);
  const pad = high > low ? (high - low) * 0.015 : 1;
  const whole = {from: low - pad, to: high + pad};
  const x = view.x0 === null ? whole : {from: view.x0, to: view.x1};
  const isRailed = points.some((point) => point.y === null);
  const all = heights(runs, whole, isRailed);
  const y = heights(runs, x, isRailed) || all || heightsOf([], isRailed);
  const left = view.y === 'record' && runs[0].answer.y.ticks.length ? 124 : 84;
  const bottom = height - (view.x === 'time' ? 112 : 96);
  const numUnplaced = points.filter((point) => point.y === null && 'verdict' in point).length;
  const notes = numUnplaced ? [`${plural(numUnplaced, 'checkpoint')} without a stored position, on the line at the bottom`] : [];
  return {whole, x, y, yWhole: all || y, rail: isRailed ? y.rail : null, notes, box: {left, right: width - 16, top: 20, bottom}};
}

// The values of y over a part of x, with some room; null where there are none.
function heights(runs, x, isRailed) {
  const values = runs.flatMap(({answer}) => [
    ...answer.lines.flatMap((line) => line.y.filter((_, i) => {
      // The ends of a segment that crosses the part count, too.
      const next = i + 1 < line.x.length ? line.x[i + 1] : line.x[i];
      const before = i ? line.x[i - 1] : line.x[i];
      return next >= x.from && before <= x.to;
    })),
    ...[...answer.checkpoints, ...answer.restarts].filter((point) => point.x >= x.from && point.x <= x.to).map((point) => point.y),
  ]).filter((value) => value !== null);
  return values.length ? heightsOf(values, isRailed) : null;
}

function heightsOf(values, isRailed) {
  const [least, greatest] = extent(values);
  const room = greatest > least ? 0 : 1;
  const [bottom, top] = [least - room, greatest + room];
  const span = top - bottom;
  return {from: bottom - span * (isRailed ? 0.14 : 0.04), to: top + span * 0.06, rail: bottom - span * 0.08, railTop: bottom - span * 0.03};
}

// One hue and dash for each attempt, or, when runs are compared, one hue for each run.
function lineTraces({runs, palette, view, hidden}, frame) {
  const traces = [];
  const items = new Map();
  runs.forEach(({name, answer}, runIndex) => {
    for (const line of answer.lines) {
      const key = runs.length > 1 ? `run ${name}` : `${line.kind} ${line.attempt}`;
      const style = lineStyle(line, palette, runs.length > 1 ? runIndex : null);
      const ofRun = {color: palette.hue(runIndex), dash: 'solid', label: name};
      if (!items.has(key)) {
        items.set(key, {key, kind: 'line', ...(runs.length > 1 ? ofRun : {color: style.line.color, dash: style.line.dash, label: line.label})});
      }
      traces.push({
        type: 'scatter', mode: 'lines', name: withoutMarkup(runs.length > 1 ? `${name}: ${line.label}` : line.label),
        x: line.x.map((value) => axisValue(view.x, value)), y: line.y,
        customdata: line.step, meta: {kind: 'line', run: name, attempt: line.attempt, part: line.part},
        text: line.x.map((_, i) => lineHover(line, i, answer.files, runs.length > 1 ? name : null)),
        hoverinfo: 'text', visible: !hidden.has(key), showlegend: false, ...style,
      });
    }
  });
  const legend = [...items.values()];
  const numMore = legend.length - MAX_LEGEND;
  const more = numMore > 0 ? [{key: 'more', kind: 'text', label: `and ${number(numMore)} more`}] : [];
  if (runs.some(({answer}) => answer.lines.some((line) => line.part === 'lost'))) {
    more.push({key: 'lost', kind: 'text', label: 'thin: lost steps'});
  }
  return {traces, legend: [...legend.slice(0, MAX_LEGEND), ...more]};
}

// Evaluations are thin and dotted, lost steps thin.
function lineStyle(line, palette, runIndex) {
  if (isEvaluation(line)) return {opacity: 1, line: {color: palette.muted, dash: '1px,4px', width: 1.2}};
  const index = Math.max(0, (line.number || 1) - 1);
  const isLost = line.part === 'lost';
  return {opacity: isLost ? 0.5 : 1, line: {color: palette.hue(runIndex ?? index), dash: palette.dash(index), width: isLost ? 1.2 : 2.2}};
}

function isEvaluation(line) {
  return line.part === 'eval' || line.kind === 'eval';
}

function lineHover(line, i, files, run) {
  const parts = [`step ${number(line.step[i])}, ${line.label}${!isEvaluation(line) && line.part === 'lost' ? ' (lost)' : ''}`];
  if (isEvaluation(line)) parts.push(EVALUATION_WORDS);
  if (run) parts.unshift(run);
  const facts = [];
  if (line.examples && line.examples[i] !== null) facts.push(`${number(line.examples[i])} examples`);
  if (line.epoch && line.epoch[i] !== null) facts.push(`epoch ${number(line.epoch[i])}`);
  if (line.into && line.into[i] !== null) facts.push(`${number(line.into[i])} into it`);
  if (facts.length) parts.push(facts.join(', '));
  const file = line.file ? line.file[i] : null;
  const record = line.record ? line.record[i] ?? null : null;
  if (file !== null && file !== undefined) parts.push(`${files[file]} @ ${number(record)}`);
  else if (record !== null) parts.push(`record ${number(record)}`);
  return parts.map(withoutMarkup).join('<br>');
}

// One trace for each verdict, named by its word.
function checkpointTraces({runs, palette, view, hidden}, frame) {
  const points = runs.flatMap((run) => run.answer.checkpoints.map((point) => ({...point, run: run.name})));
  const scale = points.length > 800 ? 0.5 : points.length > 150 ? 0.7 : 1;
  return VERDICT_NAMES.map((name) => {
    const own = points.filter((point) => verdictName(point.verdict) === name);
    const {symbol, word, size} = verdictOf(name);
    const isChosen = (point) => [view.sel, view.vs].includes(point.id) && point.id !== null;
    return {
      type: 'scatter', mode: 'markers', name: word, showlegend: false, visible: !hidden.has(name),
      x: own.map((point) => axisValue(view.x, point.x)), y: own.map((point) => point.y ?? frame.rail),
      customdata: own.map((point) => point.id), meta: {kind: 'checkpoints', verdict: name, points: own},
      text: own.map((point) => checkpointHover(point, word, view.y, runs.length > 1)), hoverinfo: 'text',
      marker: {symbol: own.map((point) => markSymbol(symbol, point)), color: palette.verdict(name), opacity: 1, size: own.map((point) => (isChosen(point) ? size + 7 : size * scale)),
               line: markOutline(name, own, isChosen, palette)},
    };
  });
}

// Hollow where only the recording is left of a checkpoint.
export function markSymbol(symbol, point) {
  return point.is_gone && !symbol.endsWith('-open') ? `${symbol}-open` : symbol;
}

// Marks stand out from lines below them; a hollow one is nothing but its outline.
function markOutline(name, points, isChosen, palette) {
  if (name === 'unknown') return {width: 2, color: palette.verdict(name)};
  return {width: points.map((point) => (isChosen(point) || point.is_gone ? 2 : 1)),
          color: points.map((point) => (isChosen(point) ? palette.text : palette.paper))};
}

function checkpointHover(point, word, mode, isCompared) {
  const lines = [`${point.label}: ${word}${point.is_gone ? ' (not on disk any more)' : ''}`, `step ${number(point.step)}`];
  if (isCompared) lines.unshift(point.run);
  lines.push(point.y === null ? 'its position is not stored' : placeText(point.y, mode));
  return lines.map(withoutMarkup).join('<br>');
}

// The number that a mark is drawn at.
function placeText(value, mode) {
  if (mode === 'epoch') return `epoch ${number(value)}`;
  return plural(value, 'example') + (mode === 'record' ? ' into the epoch' : '');
}

function restartTrace({runs, palette, view, hidden}, frame) {
  const all = runs.flatMap((run) => run.answer.restarts.map((restart) => ({...restart, run: run.name})));
  const points = all.filter((point) => point.x !== null);
  return {
    type: 'scatter', mode: 'markers', name: 'restarts', showlegend: false, visible: !hidden.has('restarts'),
    x: points.map((point) => axisValue(view.x, point.x)), y: points.map((point) => point.y ?? frame.rail),
    customdata: points.map((point) => point.number), meta: {kind: 'restarts', points},
    text: points.map((point) => [`restart ${number(point.number)}: ${point.label}`, point.text].map(withoutMarkup).join('<br>')),
    hoverinfo: 'text',
    marker: {symbol: 'triangle-down', size: 9, opacity: 1, color: palette.paper, line: {width: 1.5, color: palette.text}},
  };
}

function markLegend({runs, palette}) {
  const has = (test) => runs.some((run) => test(run.answer));
  const verdicts = VERDICT_NAMES.filter((name) => has((answer) => answer.checkpoints.some((point) => verdictName(point.verdict) === name)));
  const mark = (key, symbol, color, label) => ({key, kind: 'mark', symbol, color, label});
  const items = verdicts.map((name) => mark(name, name, palette.verdict(name), verdictOf(name).word));
  if (has((answer) => answer.checkpoints.some((point) => point.is_gone))) {
    items.push({key: 'gone', kind: 'text', label: 'hollow: not on disk any more'});
  }
  if (has((answer) => answer.restarts.length)) items.push(mark('restarts', 'restart', palette.text, 'restart'));
  for (const kind of ['repeated', 'skipped']) {
    if (!runs[0].answer.bands.some((band) => band.kind === kind)) continue;
    const label = kind === 'repeated' ? '↺ reads again' : '⇥ not read';
    items.push({key: `band ${kind}`, kind: 'band', band: kind, color: palette[`${kind}Edge`], label});
  }
  return items;
}

// Checkpoints in the order in which arrow keys walk over them.
function stopsOf({runs}) {
  return runs.flatMap((run) => run.answer.checkpoints).filter((point) => point.x !== null).sort((a, b) => a.x - b.x);
}

function layoutOf(input, frame, decorated) {
  const {runs, view, palette, width, height} = input;
  const {answer} = runs[0];
  const line = {gridcolor: palette.grid, linecolor: palette.edge, zeroline: false, color: palette.text, tickfont: {color: palette.muted}};
  const font = {color: palette.text, size: 12, family: 'system-ui, sans-serif'};
  const ticks = answer.y.ticks.length && view.y === 'record' ? fileTicks(answer.y.ticks, frame) : null;
  return {
    width, height, paper_bgcolor: palette.paper, plot_bgcolor: palette.paper, showlegend: false, hovermode: 'closest', dragmode: 'zoom',
    font, uirevision: `${view.run} ${view.x} ${view.y}`,
    hoverlabel: {bgcolor: palette.paper, bordercolor: palette.edge, font, align: 'left', namelength: 0},
    margin: {l: frame.box.left, r: width - frame.box.right, t: frame.box.top, b: height - frame.box.bottom, autoexpand: false},
    xaxis: {
      ...line, type: view.x === 'time' ? 'date' : 'linear', range: axisRange(view.x, frame.x),
      // The view holds the range; the library must not keep another one.
      uirevision: `${frame.x.from} ${frame.x.to}`, separatethousands: true, exponentformat: 'none', showline: true,
      ...(view.x === 'step' ? wholeTicks(frame.x, 10) : {}),
      rangeslider: {visible: true, range: axisRange(view.x, frame.whole), thickness: 0.13, bgcolor: palette.paper,
                    bordercolor: palette.grid, borderwidth: 1, yaxis: {rangemode: 'fixed', range: stripRange(frame)}},
    },
    yaxis: {...line, range: [frame.y.from, frame.y.to], fixedrange: true, uirevision: `${frame.y.from} ${frame.y.to}`,
            separatethousands: true, exponentformat: 'none', title: {text: withoutMarkup(answer.y.label), standoff: 8, font: {size: 12}},
            ...(ticks || {nticks: 7, ...(view.y === 'epoch' ? {} : wholeTicks(frame.y, 7))})},
    shapes: decorated.shapes, annotations: [...decorated.annotations, axisTitle(input, frame)],
  };
}

// The library would put the title of an axis with an overview strip far below the strip.
function axisTitle({runs, view, palette, height}, frame) {
  const {label} = runs[0].answer.x;
  return {x: 0.5, xref: 'paper', y: 0, yref: 'paper', yanchor: 'bottom', yshift: frame.box.bottom - height + 1,
          showarrow: false, borderpad: 0, text: withoutMarkup(view.x === 'time' ? `${label} (local)` : label),
          font: {size: 12, color: palette.text}};
}

// Room for marks at both edges of the overview strip.
function stripRange({yWhole}) {
  const room = (yWhole.to - yWhole.from) * 0.13;
  return [yWhole.from - room, yWhole.to + room];
}

// Lists may be too long to be spread into Math.min.
function extent(values) {
  if (!values.length) return [0, 1];
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [values[0], values[0]]);
}
