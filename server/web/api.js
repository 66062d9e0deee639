/* The HTTP API, as any client sees it. The key is kept for this tab alone. */

const KEY = 'reflectd.key';
export const key = () => sessionStorage.getItem(KEY);
export function setKey(value) {
  if (value)
    sessionStorage.setItem(KEY, value);
  else
    sessionStorage.removeItem(KEY);
}

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.param = error.param;
    this.details = error.details ?? [error];
  }
}

/* Who listens to "keyneeded" asks for a key and tries again. */
function judge(status, body) {
  const error = body?.error ?? {message: status ? `The server answered ${status}.` : 'The server cannot be reached.'};
  if (status === 401)
    dispatchEvent(new CustomEvent('keyneeded', {detail: error}));
  return new ApiError(status, error);
}

const headers = extra => key() ? {...extra, Authorization: `Bearer ${key()}`} : {...extra};
const parsed = text => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

/* `path` is relative to the page, so that it works behind a proxy's prefix too. */
async function fetched(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError')
      throw error;
    throw judge(0, null);
  }
  if (!response.ok)
    throw judge(response.status, parsed(await response.text()));
  return response;
}

export async function get(path, signal) {
  return (await fetched(path, {headers: headers(), signal})).json();
}

export async function post(path, json, signal) {
  const body = json === undefined ? {} : {body: JSON.stringify(json)};
  const type = json === undefined ? {} : {'Content-Type': 'application/json'};
  return (await fetched(path, {method: 'POST', headers: headers(type), signal, ...body})).json();
}

export async function patch(path, json) {
  const options = {method: 'PATCH', headers: headers({'Content-Type': 'application/json'}), body: JSON.stringify(json)};
  return (await fetched(path, options)).json();
}

export async function remove(path) {
  return (await fetched(path, {method: 'DELETE', headers: headers()})).json();
}

export async function text(path, signal) {
  return (await fetched(path, {headers: headers(), signal})).text();
}

export async function blob(path, signal) {
  return (await fetched(path, {headers: headers(), signal})).blob();
}

/* Server-sent events: calls told(name, data, id) for each, until the server ends the stream. EventSource would do, but
   that it cannot send a key. */
export async function stream(path, lastId, signal, told) {
  const more = {Accept: 'text/event-stream', ...(lastId ? {'Last-Event-ID': lastId} : {})};
  const response = await fetched(path, {headers: headers(more), signal});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '', name = '', data = [], id = null;
  for (;;) {
    const {done, value} = await reader.read();
    if (done)
      return;
    const lines = (text + value).split('\n');
    text = lines.pop();
    for (const line of lines) {
      const [, field, said] = /^([^:]*)(?:: ?(.*))?$/.exec(line);
      if (field === 'event')
        name = said;
      else if (field === 'data')
        data.push(said);
      else if (field === 'id')
        id = said;
      if (line === '' && data.length)
        told(name || 'message', parsed(data.join('\n')), id);
      if (line === '') {
        name = '';
        data = [];
        id = null;
      }
    }
  }
}

/* All items of a list, page by page; `most` bounds them. */
export async function list(path, {signal, most = Infinity, page = 1000} = {}) {
  const out = [];
  for (let after = '';;) {
    const query = `limit=${Math.min(page, most - out.length)}${after && `&after=${encodeURIComponent(after)}`}`;
    const answer = await get(path + (path.includes('?') ? '&' : '?') + query, signal);
    out.push(...answer.data);
    if (!answer.has_more || !answer.data.length || out.length >= most)
      return out;
    after = answer.last_id;
  }
}

/* fetch says nothing of how far an upload is, XMLHttpRequest does. */
export function upload(file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const form = new FormData(), request = new XMLHttpRequest();
    form.append('purpose', 'fine-tune');
    form.append('file', file, file.name);
    request.open('POST', 'v1/files');
    for (const [name, value] of Object.entries(headers()))
      request.setRequestHeader(name, value);
    request.upload.onprogress = event => onProgress(event.loaded, event.total);
    request.onload = () => {
      const body = parsed(request.responseText);
      if (request.status === 200)
        resolve(body);
      else
        reject(judge(request.status, body));
    };
    request.onerror = () => reject(judge(0, null));
    signal?.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}

/* A link would not send the key: with one, the bytes are fetched and handed to the browser. */
export async function download(path, name) {
  let href = path;
  if (key())
    href = URL.createObjectURL(await blob(path));
  const link = document.createElement('a');
  link.href = href;
  link.download = name;
  link.click();
  if (href !== path)
    setTimeout(() => URL.revokeObjectURL(href), 60000);
}
