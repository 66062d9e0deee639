/* Elements. All text becomes text nodes: what others have named cannot be markup. */

/* h('a.button', {href: '#', onclick: f}, 'text', child, [more], null) */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length)
    element.className = classes.join(' ');
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false)
      continue;
    if (key.startsWith('on'))
      element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value !== 'string')
      element[key] = value;
    else
      element.setAttribute(key, value === true ? '' : value);
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity))
    if (child !== null && child !== undefined && child !== false)
      element.append(child instanceof Node ? child : String(child));
  return element;
}

/* New content; whoever had the keyboard there, by its id or its data-key, has it again. */
export function replace(element, ...children) {
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const key = active?.dataset.key, id = active?.id;
  element.replaceChildren();
  append(element, children);
  if (key)
    [...element.querySelectorAll('[data-key]')].find(other => other.dataset.key === key)?.focus();
  else if (id)
    document.getElementById(id)?.focus();
  return element;
}

/* Calls f now and every so often, not while nobody looks at the page, until the signal ends it. f may return how many
   milliseconds to wait this time (Infinity: it is done). */
export function every(ms, f, signal) {
  let timer = 0, running = false, done = false;
  const run = async () => {
    clearTimeout(timer);
    if (running || signal.aborted)
      return;
    running = true;
    let next;
    try {
      next = await f();
    } finally {
      running = false;
    }
    done = next === Infinity;
    if (!done && !signal.aborted && !document.hidden)
      timer = setTimeout(run, next ?? ms);
  };
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !done)
      run();
  }, {signal});
  signal.addEventListener('abort', () => clearTimeout(timer));
  run();
  return run;
}

/* A short message at the foot of the page. */
export function notify(text, kind = 'info') {
  const notice = h(`div.notice.${kind}`, {}, h('span', {}, text),
    h('button.icon-button', {type: 'button', 'aria-label': 'Dismiss', onclick: () => notice.remove()}, '×'));
  document.getElementById('notices').append(notice);
  if (kind !== 'bad')
    setTimeout(() => notice.remove(), 6000);
}

/* Asks before what cannot be taken back. */
export function confirmed(question, action) {
  return new Promise(resolve => {
    const dialog = h('dialog', {'aria-label': question},
      h('form', {method: 'dialog'}, h('p', {}, question),
        h('div.row.end', {},
          h('button.button', {value: ''}, 'No, go back'),
          h('button.button.danger', {value: 'yes'}, action))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
