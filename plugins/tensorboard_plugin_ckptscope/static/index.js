// The module that TensorBoard loads into the tab's frame.
import {tensorboardHost} from './static/host.js';
import {routes} from './static/api.js';
import {start} from './static/app.js';

export function render() {
  const host = tensorboardHost();
  // Before the style sheet is there, so that a dark page does not flash white.
  document.documentElement.style.background = host.isDark() ? '#303030' : '#FFFFFF';
  document.documentElement.lang = 'en';
  document.title = 'Data position';
  const style = document.createElement('link');
  style.rel = 'stylesheet';
  style.href = './static/style.css';
  const begin = () => start(document.body, routes('.'), host);
  style.onload = begin;
  style.onerror = begin;
  document.head.append(style);
}
