// Copying: by the clipboard, the old way where a frame or plain http may not use it, or by hand.
import {el} from './elements.js';

const ANSWER_MS = 1500;

export function copyButton(text, label = 'copy') {
  const button = el('button', {type: 'button', class: 'small', title: 'Copy to the clipboard'}, label);
  button.addEventListener('click', async () => {
    const copied = typeof text === 'function' ? text() : text;
    if (!await copyText(copied)) {
      copyByHand(button, copied, label);
      return;
    }
    button.textContent = 'copied';
    setTimeout(() => { button.textContent = label; }, ANSWER_MS);
  });
  return button;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch (error) {
    const focused = document.activeElement;
    const area = el('textarea', {class: 'offscreen', readonly: true});
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand('copy');
    area.remove();
    if (focused) focused.focus({preventScroll: true});
    return isDone;
  }
}

// The text, marked, until the focus goes elsewhere.
function copyByHand(button, text, label) {
  const field = el('input', {class: 'by-hand', readonly: true, 'aria-label': 'Text to copy'});
  field.value = text;
  button.after(field);
  button.textContent = 'press Ctrl+C';
  field.addEventListener('blur', () => {
    field.remove();
    button.textContent = label;
  });
  field.select();
}
