// The panel beside the tables: one checkpoint, or where the data stood after one step.
import {copyButton} from './copying.js';
import {baseName, bytes, clock, el, number, plural, rangesText} from './elements.js';
import {checkpointReason, checkpointStep, verdictBadge} from './checkpoints.js';
import {EVALUATION_WORDS} from './palette.js';
import {checkpointPosition, factRow, factTable, stepPosition} from './position.js';

const WORDS = {not_needed: 'not needed'};
// Stages with more fields are folded.
const MAX_OPEN_FIELDS = 3;

// `row` is the table's row, null where the answer is not from a table.
export function checkpointDetails(answer, row) {
  const {checkpoint, resume} = answer;
  return [
    el('h3', {}, checkpointName(row, checkpoint.path), ' ', verdictBadge(resume.verdict)),
    el('p', {class: 'headline'}, resume.headline),
    alarmList(row && row.alarms),
    resumeCommands(row),
    recordedWords(row),
    section('Position', checkpointPosition({position: resume.position, iterator_position: ownPosition(answer, row), counted: row && row.counted})),
    resume.loss ? section('If it is resumed', lossTable(resume.loss)) : null,
    ...answer.iterators.map((iterator) => iteratorSection(iterator)),
    findingsSection(resume.findings),
    conditionsSection(resume.conditions),
    section('File', factList([['path', checkpoint.path], ['format', `${checkpoint.format}, ${checkpoint.style}`],
      ['size', bytes(checkpoint.nbytes)], ['variables', number(checkpoint.num_variables)], ['written by', checkpoint.producer],
      ['saved', row ? clock(row.saved_s) : null]])),
  ];
}

// The training iterator's own numbers: the row's, or those of the only iterator that has any.
function ownPosition(answer, row) {
  if (row && row.iterator_position) return row.iterator_position;
  const counted = answer.iterators.filter((iterator) => iterator.position && iterator.position.examples_consumed !== null);
  return counted.length === 1 ? counted[0].position : null;
}

// A checkpoint that only the recording knows.
export function rowDetails(row) {
  return [
    el('h3', {}, checkpointName(row, row.path), ' ', verdictBadge(row.verdict)),
    el('p', {class: 'headline'}, checkpointReason(row) || row.headline || 'Its files are gone; this is what was recorded.'),
    alarmList(row.alarms),
    resumeCommands(row),
    recordedWords(row),
    row.position || row.counted ? section('Position', checkpointPosition(row)) : null,
  ];
}

export function stepDetails(state, onChoose) {
  const {position, checkpoint} = state;
  return [
    el('h3', {}, `Step ${number(state.step)}, attempt ${number(state.number)}`),
    el('p', {class: 'headline'}, `${clock(state.wall_time_s)} · ${stepFate(state)}`),
    state.disagreement ? el('p', {class: 'alarm'}, `Recorded and decoded disagree: ${state.disagreement}`) : null,
    section('Position', stepPosition(position),
      stepRecord(position),
      state.reason ? el('p', {class: 'muted'}, state.reason) : null,
      factList([['order', state.order], ['held in buffers', state.held_elements === null ? null : number(state.held_elements)]])),
    state.decoded ? section('Last decoded', decodedWords(state.decoded)) : null,
    checkpoint ? section('Pipeline at the newest checkpoint until then',
      el('p', {}, el('button', {type: 'button', class: 'small', disabled: !checkpoint.id, on: {click: () => onChoose(checkpoint.id)}},
        checkpoint.name), ` step ${number(checkpoint.step)}, ${plural(checkpoint.steps_before, 'step')} before`),
      stageTree(state.stages || [])) : null,
  ];
}

// Whether a step is part of the weights; null where it only evaluated them.
function stepFate(state) {
  if (state.is_effective === null) return EVALUATION_WORDS;
  return state.is_effective ? 'survives in the last weights' : 'lost: later restarts went back before this step';
}

function stepRecord({file, record}) {
  if (record === null || record === undefined) return null;
  return el('p', {}, file ? `${file} @ ${number(record)}` : `record ${number(record)}`);
}

function decodedWords(decoded) {
  const amount = `${number(decoded.examples_consumed)} examples in ${number(decoded.batches_consumed)} batches`;
  return el('p', {class: 'muted'}, `at step ${number(decoded.step)}: ${amount}`);
}

export function section(title, ...children) {
  return el('section', {}, el('h4', {}, title), ...children.flat());
}

export function alarmList(alarms) {
  if (!alarms || !alarms.length) return null;
  return el('ul', {class: 'alarms'}, alarms.map((alarm) => el('li', {class: 'alarm'}, el('code', {}, alarm.code), ' ', alarm.text)));
}

function resumeCommands(row) {
  if (!row) return null;
  const lines = [];
  if (row.command) lines.push(el('dt', {}, 'to resume from it'), el('dd', {}, el('pre', {}, row.command), copyButton(row.command)));
  if (row.fix) lines.push(el('dt', {}, 'to make it exact'), el('dd', {}, el('pre', {class: 'prose'}, row.fix), copyButton(row.fix)));
  return lines.length ? el('dl', {class: 'commands'}, lines) : null;
}

function recordedWords(row) {
  const recorded = row && row.recorded;
  if (!recorded) return null;
  const problem = recorded.disagreement || recorded.problem;
  if (problem) return el('p', {class: 'alarm'}, `When it was saved: ${problem}`);
  if (!recorded.verdict || recorded.verdict === row.verdict) return null;
  return el('p', {class: 'muted'}, 'When it was saved, the recorder noted: ', verdictBadge(recorded.verdict));
}

function lossTable(loss) {
  return factList([['read again', loss.repeated_elements && `examples ${rangesText(loss.repeated_elements)}`],
    ['never read', loss.skipped_elements && `examples ${rangesText(loss.skipped_elements)}`]]);
}

function factList(facts) {
  const known = facts.filter(([, value]) => value !== null && value !== undefined);
  if (!known.length) return null;
  return el('dl', {class: 'facts'}, known.flatMap(([label, value]) => [el('dt', {}, label), el('dd', {}, String(value))]));
}

function iteratorSection(iterator) {
  const state = [iterator.decoded ? null : `not decoded: ${iterator.error}`, iterator.started === false ? 'not started' : null,
                 iterator.exhausted ? 'at the end of its data' : null, bytes(iterator.nbytes)].filter(Boolean).join(', ');
  const name = iterator.key.split('/.ATTRIBUTES')[0];
  return section('Pipeline', el('p', {class: 'muted key'}, `${name} · ${state}`), stageTree(iterator.stages));
}

function stageTree(stages) {
  if (!stages.length) return null;
  return el('ul', {class: 'stages'}, stages.map((stage) => el('li', {}, stageLine(stage), stageTree(stage.inputs || []))));
}

function stageLine(stage) {
  const fields = Object.entries(stage.fields || {});
  const isHolding = stage.held_elements !== null && stage.held_elements !== undefined;
  const head = [el('b', {}, stage.title || stage.op), stage.known === false ? el('span', {class: 'muted'}, ' not known') : null,
                isHolding ? el('span', {}, ` holds ${number(stage.held_elements)}`) : null];
  if (!fields.length) return el('div', {title: stage.path}, head);
  return el('details', {open: fields.length <= MAX_OPEN_FIELDS}, el('summary', {title: stage.path}, head),
    factTable(fields.map(([name, value]) => factRow(name, plainValue(value)))));
}

function plainValue(value) {
  return value === null || typeof value !== 'object' ? value : JSON.stringify(value);
}

function findingsSection(findings) {
  const isGood = (finding) => finding.verdict === null && ['saved', 'not_needed'].includes(finding.status);
  const bad = findings.filter((finding) => !isGood(finding));
  const good = findings.filter(isGood);
  return section('Findings', el('ul', {class: 'findings'}, bad.map(findingItem)),
    good.length ? el('details', {open: !bad.length}, el('summary', {}, `${plural(good.length, 'part')} as needed`),
      el('ul', {class: 'findings'}, good.map(findingItem))) : null);
}

function findingItem(finding) {
  return el('li', {}, el('code', {title: `ckptscope explain ${finding.code}`}, finding.code), ' ',
    finding.verdict ? verdictBadge(finding.verdict) : el('span', {class: 'muted'}, WORDS[finding.status] || finding.status),
    el('div', {}, finding.subject ? `${finding.subject}: ` : '', finding.message),
    finding.remedy ? el('div', {class: 'remedy'}, el('span', {}, `→ ${finding.remedy}`), copyButton(finding.remedy)) : null);
}

function conditionsSection(conditions) {
  if (!conditions.length) return null;
  const items = conditions.map((condition) => el('li', {}, el('code', {}, condition.code), ` ${condition.text}`));
  return section('Conditions', el('ul', {class: 'findings'}, items));
}

export function noChoice() {
  return [el('p', {class: 'muted'}, 'Choose a checkpoint in the plot or table to see what it holds, or a line of the plot to see ',
    'where the data stood after that step. Shift-click, or the button of a row, compares two.')];
}

// As the route names it: the files of a SavedModel have the same name everywhere.
export function checkpointName(row, path) {
  return (row && row.name) || baseName(path);
}

// Two checkpoints of one name are told apart by their steps.
export function checkpointTitle(row) {
  return row ? `${checkpointName(row, row.path)} (step ${number(checkpointStep(row))})` : 'a checkpoint';
}
