// Where the data stands, as rows: what is not known is told with its reason, once for all that share it.
import {baseName, el, number} from './elements.js';

const FIELDS = [['step', 'step'], ['epoch', 'epoch'], ['examples_into_epoch', 'examples into it'], ['examples_consumed', 'examples'],
                ['batches_consumed', 'batches'], ['batch_size', 'batch size'], ['epoch_size', 'epoch size']];
const STEP_FIELDS = [['epoch', 'epoch'], ['examples_into_epoch', 'examples into it'], ['examples', 'examples'], ['batches', 'batches'],
                     ['batch_size', 'batch size'], ['epoch_size', 'epoch size']];

export const OWN_COUNT = "* the iterator's own count, which is out of step with the run's";

// The run's value of a field, or else the iterator's own: {value, isOwn}. `own` may be null.
export function countOf(position, own, field) {
  const known = position ? position[field] ?? null : null;
  const counted = own ? own[field] ?? null : null;
  return known === null && counted !== null ? {value: counted, isOwn: true} : {value: known, isOwn: false};
}

export function starred({value, isOwn}) {
  return number(value) + (isOwn ? '*' : '');
}

export function recordText(next) {
  return next ? `${baseName(next.file)} @ ${number(next.record_index)}` : null;
}

export function checkpointPosition(position, own) {
  const reasons = position.reasons || {};
  const counts = FIELDS.map(([key, label]) => ({key, label, ...countOf(position, own, key)}));
  const next = countOf(position, own, 'next_record');
  const rows = counts.map((count) => factRow(count.label, count.value === null ? null : starred(count)));
  if (next.value) rows.push(factRow('next record', recordText(next.value) + (next.isOwn ? '*' : '')));
  for (const source of position.sources || []) {
    const at = source.record_index ?? source.elements_read;
    rows.push(factRow(source.file ? baseName(source.file) : source.op, at === null ? null : `${number(at)} read`, source.reason));
  }
  if (position.class) rows.unshift(factRow('class', position.class));
  const isStarred = next.isOwn || counts.some((count) => count.isOwn);
  return [factTable(rows), isStarred ? el('p', {class: 'muted'}, OWN_COUNT) : null, reasonList(reasons)];
}

export function stepPosition(position) {
  return factTable(STEP_FIELDS.map(([key, label]) => factRow(label, position[key])));
}

// One line for each reason, after the names of what it explains.
function reasonList(reasons) {
  const names = new Map([...FIELDS, ['next_record', 'next record']]);
  const groups = new Map();
  for (const [key, reason] of Object.entries(reasons)) groups.set(reason, [...(groups.get(reason) || []), names.get(key) || key]);
  if (!groups.size) return null;
  return el('ul', {class: 'reasons muted'}, [...groups].map(([reason, labels]) => el('li', {}, `${labels.join(', ')}: ${reason}`)));
}

export function factTable(rows) {
  return el('table', {class: 'facts'}, el('tbody', {}, rows));
}

export function factRow(label, value, reason) {
  const isKnown = value !== null && value !== undefined;
  const cell = isKnown ? el('td', {class: 'n'}, number(value)) : el('td', {class: reason ? 'reason' : 'n muted'}, reason ? `– ${reason}` : '–');
  return el('tr', {}, el('th', {scope: 'row'}, label), cell);
}
