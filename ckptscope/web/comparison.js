// What changed between two checkpoints.
import {baseName, el, number, plural, signed} from './elements.js';
import {verdictBadge} from './checkpoints.js';
import {alarmList, checkpointName, section} from './details.js';

const MAX_CHANGES = 12;

// `rows`: those of the table, in the order of the answer
export function comparisonDetails(answer, rows, onSwapOut) {
  const {summary} = answer;
  return [
    el('h3', {}, `${checkpointName(rows[0], answer.a.path)} → ${checkpointName(rows[1], answer.b.path)}`),
    el('p', {class: 'headline'}, verdictBadge(summary.verdicts[0]), ' → ', verdictBadge(summary.verdicts[1]),
      summary.same ? ' · the same' : null),
    el('p', {}, el('button', {type: 'button', class: 'small', data: {key: 'stop comparing'}, on: {click: onSwapOut}}, 'stop comparing')),
    alarmList(summary.alarms),
    section('Between them', summaryTable(summary)),
    ...answer.iterators.map(iteratorChanges),
    trainingChanges(answer.training || []),
    variableChanges(answer.changes),
    el('p', {class: 'muted'}, `Compared by ${answer.rule}.`),
  ];
}

function summaryTable(summary) {
  const reasons = summary.reasons || {};
  const rows = [['steps', 'step'], ['batches', 'batches'], ['examples', 'examples'], ['epochs', 'epochs']];
  const sources = (summary.sources || []).map((source) => [source.file ? baseName(source.file) : source.op || source.name, source]);
  const line = (label, value, reason) => el('tr', {}, el('th', {scope: 'row'}, label),
    value === null || value === undefined ? el('td', {class: 'reason'}, reason || '–') : el('td', {class: 'n'}, signed(value)));
  return el('table', {class: 'facts'}, el('tbody', {}, rows.map(([label, key]) => line(label, summary[`${key}_delta`], reasons[key] || reasons[label])),
    sources.map(([label, source]) => line(label, sourceDelta(source), sourceWords(source)))));
}

function sourceDelta(source) {
  const {records_delta: records, bytes_delta: size, elements_delta: elements} = source;
  if (typeof records === 'number') return records;
  return typeof size === 'number' ? `${signed(size)} bytes` : elements;
}

// Of another pass or file there is no difference.
function sourceWords(source) {
  const {old_record: old, new_record: now} = source;
  return [old, now].some((value) => value !== null && value !== undefined) ? `record ${number(old)}, then ${number(now)}` : null;
}

function iteratorChanges(iterator) {
  const name = (iterator.key || iterator.old_key || '').split('/.ATTRIBUTES')[0];
  const stages = iterator.stages || [];
  const place = iterator.same ? 'the same place' : iterator.why || iterator.kind;
  return section('Pipeline', el('p', {class: 'muted key'}, `${name} · ${place}`),
    el('table', {class: 'facts'}, el('tbody', {}, stages.map((stage) => el('tr', {title: stage.path}, el('th', {scope: 'row'}, stage.title),
      el('td', {class: stage.kind === 'same' ? 'muted' : null}, stage.text || stage.kind))))));
}

function trainingChanges(training) {
  const changed = training.filter((item) => item.changed);
  if (!changed.length) return null;
  const between = (item) => (item.old === null || item.new === null ? item.text : `${item.old} → ${item.new}`);
  return section('Training state', el('table', {class: 'facts'}, el('tbody', {}, changed.map((item) => (
    el('tr', {}, el('th', {scope: 'row'}, item.name), el('td', {class: 'n'}, between(item))))))));
}

function variableChanges(changes) {
  const size = (change) => (change.stats && typeof change.stats.rel_l2 === 'number' ? change.stats.rel_l2 : -1);
  const sorted = [...changes].sort((a, b) => Number(a.kind === 'value') - Number(b.kind === 'value') || size(b) - size(a));
  const shown = sorted.slice(0, MAX_CHANGES);
  const numMore = changes.length - shown.length;
  if (!shown.length) return section('Variables', el('p', {class: 'muted'}, 'No variable changed.'));
  const name = (change) => change.full_name || (change.key || '').split('/.ATTRIBUTES')[0];
  return section('Variables, largest changes first', el('table', {class: 'facts'},
    el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'variable'),
      el('th', {scope: 'col', class: 'n', title: '||b - a|| / ||a||'}, 'relative change'))),
    el('tbody', {}, shown.map((change) => el('tr', {}, el('th', {scope: 'row', title: change.key, class: 'key'}, name(change)),
      el('td', {class: 'n'}, change.kind === 'value' ? (size(change) < 0 ? 'changed' : number(size(change))) : change.kind))))),
    numMore ? el('p', {class: 'muted'}, `and ${plural(numMore, 'other')}: ckptscope diff lists all`) : null);
}
