/* The previews of a job of pictures: a row for each evaluation, the newest first, a column for each prompt or hint. The
   hints are a row above them. */
import * as api from './api.js';
import {h, replace} from './dom.js';
import {number} from './format.js';
import {hasEnded, jobPath} from './job_parts.js';

const NAME = /^preview-(\d+)-(\d+)-(\d+)\.png$/, HINT = /^hint-(\d+)\.png$/;

/* Does one of the tasks of these names learn them? `known`: all tasks, as the server lists what it can. */
export const learnsPictures = (names, known) => known.some(task => task.images && names.includes(task.name));

/* {step: [{artifact, prompt, number}]}, the newest step first. */
function bySteps(artifacts) {
  const steps = new Map();
  for (const artifact of artifacts) {
    const [, step, prompt, count] = NAME.exec(artifact.name) ?? [];
    if (step === undefined)
      continue;
    if (!steps.has(Number(step)))
      steps.set(Number(step), []);
    steps.get(Number(step)).push({artifact, prompt: Number(prompt), number: Number(count)});
  }
  for (const row of steps.values())
    row.sort((a, b) => a.prompt - b.prompt || a.number - b.number);
  return new Map([...steps].sort(([a], [b]) => b - a));
}

export function picturesTab(job, signal) {
  const element = h('div.stack', {}), base = jobPath(job.id), shown = new Map(); /* name and SHA-256: {href, element} */
  const said = prompt => job.image?.validation_prompts?.[prompt - 1] ?? `Validation picture ${prompt}`;
  signal.addEventListener('abort', () => shown.forEach(({href}) => URL.revokeObjectURL(href)));
  const figure = async (artifact, caption, when) => {
    const id = `${artifact.name} ${artifact.sha256}`;
    if (shown.has(id))
      return shown.get(id).element;
    const href = URL.createObjectURL(await api.blob(`${base}/artifacts/${encodeURIComponent(artifact.name)}`, signal));
    const picture = h('img', {src: href, alt: caption + when});
    const made = h('figure', {}, picture, h('figcaption.small.soft', {}, caption));
    shown.set(id, {href, element: made});
    return made;
  };
  const section = async (title, figures) => h('section', {}, h('h3', {}, title), h('div.pictures', {}, await Promise.all(figures)));
  return {
    element,
    async open() {
      const [{data}, {status}] = await Promise.all([api.get(`${base}/artifacts`, signal), api.get(base, signal)]);
      const hints = data.filter(artifact => HINT.test(artifact.name)), rows = [];
      hints.sort((a, b) => HINT.exec(a.name)[1] - HINT.exec(b.name)[1]);
      if (hints.length)
        rows.push(await section('Hints', hints.map(artifact => figure(artifact, `Hint ${HINT.exec(artifact.name)[1]}`, ''))));
      for (const [step, previews] of bySteps(data)) {
        const title = `Step ${number(step)}`, when = `, at step ${number(step)}`;
        rows.push(await section(title, previews.map(({artifact, prompt}) => figure(artifact, said(prompt), when))));
      }
      replace(element, rows.length ? rows :
        h('p.soft', {}, hasEnded({status}) ? 'This job made no previews.' : 'They come with each evaluation.'));
    },
  };
}
