// The legend as ordinary elements, so that it wraps, and can be reached and switched by keyboard.
import {el, repaint, svgElement} from './elements.js';

const SHAPES = {
  exact: (color) => svgElement('circle', {cx: 13, cy: 7, r: 5, fill: color}),
  approximate: (color) => svgElement('path', {d: 'M13 1l6 6-6 6-6-6z', fill: color}),
  impossible: (color) => svgElement('path', {d: 'M8.5 2.5l9 9m0-9l-9 9', stroke: color, 'stroke-width': 3, fill: 'none'}),
  unknown: (color) => svgElement('rect', {x: 8.5, y: 2.5, width: 9, height: 9, stroke: color, 'stroke-width': 2, fill: 'none'}),
  restart: (color) => svgElement('path', {d: 'M8 3h10l-5 8z', stroke: color, 'stroke-width': 1.5, fill: 'none'}),
};

export function paintLegend(box, items, hidden, onToggle) {
  repaint(box, items.map((item) => {
    if (item.kind === 'text') return el('span', {class: 'muted'}, item.label);
    const isShown = !hidden.has(item.key);
    return el('button', {type: 'button', class: 'legend-item', 'aria-pressed': String(isShown), data: {key: item.key},
                         title: isShown ? 'Hide' : 'Show', on: {click: () => onToggle(item.key)}},
      swatch(item), el('span', {}, item.label));
  }));
}

function swatch(item) {
  const picture = svgElement('svg', {width: 26, height: 14, 'aria-hidden': 'true'});
  if (item.kind === 'mark') picture.append(SHAPES[item.symbol](item.color));
  if (item.kind === 'line') {
    const dash = item.dash === 'solid' ? 'none' : item.dash.replace(/px/g, '');
    picture.append(svgElement('line', {x1: 0, x2: 26, y1: 7, y2: 7, stroke: item.color, 'stroke-width': 2.2, 'stroke-dasharray': dash}));
  }
  if (item.kind === 'band') {
    const edge = item.band === 'skipped' ? {stroke: item.color, 'stroke-dasharray': '2 2'} : {};
    picture.append(svgElement('rect', {x: 1, y: 1, width: 24, height: 12, fill: item.color, 'fill-opacity': 0.2, ...edge}));
  }
  return picture;
}
