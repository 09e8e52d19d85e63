/** Metrics in Fastify 5: npx tsc -p tsconfig.examples.json && node dist/examples/mount/fastify.js */
import { fastify } from "fastify"
import { closeAtStop, metricsPaths, port, startJobs } from "./jobs.ts"

const { taskora, greet, metrics } = await startJobs()
const server = fastify()

server.get<{ Params: { name: string } }>("/greet/:name", (request) => {
  return greet.dispatch(request.params.name).result
})
for (const path of metricsPaths) {
  server.get(path, (request, reply) => {
    // From here on the answer is not Fastify's to send.
    reply.hijack()
    metrics.handler(request.raw, reply.raw)
  })
}

console.log(`${await server.listen({ port, host: "127.0.0.1" })}/metrics`)
closeAtStop(async () => {
  await server.close()
  await taskora.close()
})
