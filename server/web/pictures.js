/* The previews of a job of pictures: a row for each evaluation, the newest first, a column for each prompt or hint. */
import * as api from './api.js';
import {h, replace} from './dom.js';
import {number} from './format.js';
import {hasEnded, jobPath} from './job_parts.js';

const NAME = /^preview-(\d+)-(\d+)-(\d+)\.png$/;

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
  const figure = async (step, {artifact, prompt}) => {
    const id = `${artifact.name} ${artifact.sha256}`;
    if (shown.has(id))
      return shown.get(id).element;
    const href = URL.createObjectURL(await api.blob(`${base}/artifacts/${encodeURIComponent(artifact.name)}`, signal));
    const picture = h('img', {src: href, alt: `${said(prompt)}, at step ${number(step)}`});
    const made = h('figure', {}, picture, h('figcaption.small.soft', {}, said(prompt)));
    shown.set(id, {href, element: made});
    return made;
  };
  return {
    element,
    async open() {
      const [{data}, {status}] = await Promise.all([api.get(`${base}/artifacts`, signal), api.get(base, signal)]);
      const rows = [];
      for (const [step, previews] of bySteps(data)) {
        const figures = await Promise.all(previews.map(preview => figure(step, preview)));
        rows.push(h('section', {}, h('h3', {}, `Step ${number(step)}`), h('div.pictures', {}, figures)));
      }
      replace(element, rows.length ? rows :
        h('p.soft', {}, hasEnded({status}) ? 'This job made no previews.' : 'They come with each evaluation.'));
    },
  };
}
