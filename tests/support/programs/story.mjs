// Fine-tune as a course does it, with openai-node; what it saw goes to standard output.
//
// Argument: a JSON file with the `task`. Where the service is, the environment says.

import { createReadStream, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { VERSION } from "openai/version";

const task = JSON.parse(readFileSync(process.argv.at(-1), "utf8"));
const client = new OpenAI({ maxRetries: 0 });
const jobs = client.fineTuning.jobs;

async function uploaded(path) {
  const made = await client.files.create({ file: createReadStream(path), purpose: "fine-tune" });
  return client.files.waitForProcessing(made.id, { pollInterval: 50 });
}

function asked(model, messages, options = {}) {
  return client.chat.completions.create({
    model, messages, temperature: 0, max_completion_tokens: 32, ...options,
  });
}

async function answers(model) {
  const said = await Promise.all(task.questions.map((messages) => asked(model, messages)));
  return said.map((one) => one.choices[0].message.content);
}

async function refused(call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { name: error.constructor.name, status: error.status, code: error.code };
  }
}

const trainingFile = await uploaded(task.train);
const validationFile = await uploaded(task.validation);
const created = await jobs.create({
  model: task.model,
  training_file: trainingFile.id,
  validation_file: validationFile.id,
  ...task.options,
});
const polled = [created];
while (!polled.at(-1).finished_at) {
  await sleep(200);
  polled.push(await jobs.retrieve(created.id));
}
const job = polled.at(-1);

const pages = [];
for await (const page of (await jobs.listEvents(job.id, { limit: task.page })).iterPages()) {
  pages.push(page.data.length);
}
const events = await Array.fromAsync(jobs.listEvents(job.id, { limit: task.page }));
const checkpoints = await Array.fromAsync(jobs.checkpoints.list(job.id));
const [result] = job.result_files;
const first = task.questions[0];
const streaming = { stream: true, stream_options: { include_usage: true } };
const pieces = await Array.fromAsync(await asked(job.fine_tuned_model, first, streaming));
const seen = {
  version: VERSION,
  upload: trainingFile,
  created,
  polled: [...new Set(polled.map((one) => one.status))],
  job,
  newest_job: (await jobs.list({ limit: 1 })).data[0].id,
  pages,
  events,
  checkpoints,
  checkpoint_says: await asked(checkpoints.at(-1).fine_tuned_model_checkpoint, first),
  result_file: await client.files.retrieve(result),
  result: await (await client.files.content(result)).text(),
  models: (await Array.fromAsync(client.models.list())).map((model) => model.id),
  base_answers: await answers(task.model),
  tuned_answers: await answers(job.fine_tuned_model),
  streamed: pieces.map((piece) => piece.choices[0]?.delta.content ?? ""),
  streamed_usage: pieces.at(-1).usage,
  refused: {
    "no such job": await refused(() => jobs.retrieve("ftjob-none")),
    "no such model": await refused(() => asked("gpt-none", first)),
    "wrong key": await refused(() => client.withOptions({ apiKey: "sk-wrong" }).models.list()),
    "bad request": await refused(() =>
      jobs.create({ model: task.model, training_file: "file-no" }),
    ),
  },
};
process.stdout.write(JSON.stringify(seen));
