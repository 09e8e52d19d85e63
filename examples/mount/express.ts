/** Metrics in Express 5: npx tsc -p tsconfig.examples.json && node dist/examples/mount/express.js */
import type { AddressInfo } from "node:net"
import express from "express"
import { closeAtStop, metricsPaths, port, startJobs } from "./jobs.ts"

const { taskora, greet, metrics } = await startJobs()
const server = express()

server.get("/greet/:name", async (req, res) => {
  res.type("text").send(await greet.dispatch(req.params.name).result)
})
server.get(metricsPaths, metrics.handler)

const listening = server.listen(port, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(listening.address() as AddressInfo).port}/metrics`)
})
closeAtStop(async () => {
  listening.close()
  await taskora.close()
})
