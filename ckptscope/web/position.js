// Where the data stands, as rows: what is not known is told with its reason, once for all that share it.
import {baseName, el, number} from './elements.js';

const FIELDS = [['step', 'step'], ['epoch', 'epoch'], ['examples_into_epoch', 'examples into it'], ['examples_consumed', 'examples'],
                ['batches_consumed', 'batches'], ['batch_size', 'batch size'], ['epoch_size', 'epoch size']];
const STEP_FIELDS = [['epoch', 'epoch'], ['examples_into_epoch', 'examples into it'], ['examples', 'examples'], ['batches', 'batches'],
                     ['batch_size', 'batch size'], ['epoch_size', 'epoch size']];

// Numbers that are not the checkpoint's own account of the run have a mark, and a footnote.
const FOOTNOTES = {
  '*': "* the iterator's own count, which is out of step with the run's",
  '†': '† counted by the recorder; the checkpoint itself does not tell',
};

const COUNTED_FIELDS = {epoch: 'epoch', examples_into_epoch: 'examples_into_epoch', examples_consumed: 'examples', batches_consumed: 'batches'};

// The run's value of a field, or else the iterator's own, or else what the recorder had counted: {value, mark}.
// `holders`: {position, iterator_position, counted}, each may be null; a row of the table is one.
export function countOf(holders, field) {
  const values = [['', holders.position, field], ['*', holders.iterator_position, field], ['†', holders.counted, COUNTED_FIELDS[field]]];
  for (const [mark, holder, key] of values) {
    const value = holder ? holder[key] ?? null : null;
    if (value !== null) return {value, mark};
  }
  return {value: null, mark: ''};
}

export function markedCount({value, mark}) {
  return number(value) + mark;
}

export function footnotes(counts) {
  return Object.keys(FOOTNOTES).filter((mark) => counts.some((count) => count.mark === mark)).map((mark) => FOOTNOTES[mark]);
}

// `name`: the file's, as there is room for it; without one the record counts in all of the data.
export function recordText(next, name = null) {
  if (!next) return null;
  return next.file ? `${name || baseName(next.file)} @ ${number(next.record_index)}` : `record ${number(next.record_index)}`;
}

export function checkpointPosition(holders) {
  const position = holders.position || {};
  const reasons = position.reasons || {};
  const counts = FIELDS.map(([key, label]) => ({label, ...countOf(holders, key)}));
  const next = countOf(holders, 'next_record');
  const rows = counts.map((count) => factRow(count.label, count.value === null ? null : markedCount(count)));
  if (next.value) rows.push(factRow('next record', recordText(next.value) + next.mark));
  for (const source of position.sources || []) {
    const at = source.record_index ?? source.elements_read;
    rows.push(factRow(source.file ? baseName(source.file) : source.op, at === null ? null : `${number(at)} read`, source.reason));
  }
  if (position.class) rows.unshift(factRow('class', position.class));
  return [factTable(rows), ...footnotes([...counts, next]).map((text) => el('p', {class: 'muted'}, text)), reasonList(reasons)];
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
