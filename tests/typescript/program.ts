// Uploads a file, follows the job, pauses and resumes it, and reads its row errors: node program.js URL FILE [KEY]
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Job = components["schemas"]["JobView"];
type Refusal = components["schemas"]["ErrorBody"];
type Form = paths["/v1/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"];

const [url, file, key] = process.argv.slice(2) as [string, string, string?];
const sluice = createClient<paths>({ baseUrl: url, headers: key ? { Authorization: `Bearer ${key}` } : {} });

function answered<T>(answer: { data?: T; error?: Refusal }): T {
  if (answer.data === undefined) throw new Error(answer.error?.error.message ?? "no answer");
  return answer.data;
}

/** A job and its file, as a body. */
function formOf({ job, file }: Form): FormData {
  const form = new FormData();
  form.set("job", new Blob([JSON.stringify(job)], { type: "application/json" }));
  if (file !== undefined) form.set("file", file, "people.csv");
  return form;
}

/** The job after each change, until it is as wanted. */
async function follow(id: string, wanted: (job: Job) => boolean): Promise<Job> {
  const { response } = await sluice.GET("/v1/jobs/{job_id}/watch", {
    params: { path: { job_id: id } },
    parseAs: "stream",
  });
  if (response.body === null) throw new Error("there is no stream");
  let rest = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + piece).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data === undefined) continue;
      const job = JSON.parse(data.slice("data: ".length)) as Job;
      if (wanted(job)) return job;
    }
  }
  throw new Error("the stream has ended");
}

const asked: Form = {
  job: { operation: "upload", dataset: "people", organisation: "typescript", options: { rows_per_second: 20 } },
  file: new Blob([readFileSync(file)], { type: "text/csv" }),
};
const made = answered(
  await sluice.POST("/v1/jobs", {
    params: { header: { "Idempotency-Key": "typescript" } },
    body: asked,
    bodySerializer: () => formOf(asked),
  }),
);
const path = { job_id: made.id };
await follow(made.id, (job) => job.progress.rows_applied > 0);
const paused = answered(
  await sluice.POST("/v1/jobs/{job_id}/pause", { params: { path, query: { wait: 60 } }, body: { reason: "lunch" } }),
);
answered(await sluice.PUT("/v1/jobs/{job_id}/rate", { params: { path }, body: { rows_per_second: null } }));
answered(await sluice.POST("/v1/jobs/{job_id}/resume", { params: { path } }));
const ended = await follow(made.id, (job) => job.ended);
const errors = answered(await sluice.GET("/v1/jobs/{job_id}/errors", { params: { path, query: { limit: 5 } } }));
const missing = await sluice.GET("/v1/jobs/{job_id}", { params: { path: { job_id: "none" } } });
console.log(
  JSON.stringify({
    paused: [paused.state, paused.reason],
    ended: [ended.state, ended.progress.rows_applied, ended.progress.rows_failed],
    errors: errors.errors.map((error) => [error.row, error.column]),
    missing: missing.error?.error.code,
  }),
);
