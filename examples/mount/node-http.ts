/** Metrics in a plain server: npx tsc -p tsconfig.examples.json && node dist/examples/mount/node-http.js */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { closeAtStop, metricsPaths, port, startJobs } from "./jobs.ts"

const { taskora, greet, metrics } = await startJobs()

const server = createServer((req, res) => {
  const [path = ""] = (req.url ?? "").split("?")
  if (metricsPaths.includes(path)) return metrics.handler(req, res)
  const [, name] = /^\/greet\/([\w-]+)$/.exec(path) ?? []
  if (name === undefined) return void res.writeHead(404).end("this server has no such page\n")
  greet.dispatch(name).result.then(
    (text) => res.end(text),
    () => res.writeHead(500).end("no greeting today\n"),
  )
})

server.listen(port, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)
})
closeAtStop(async () => {
  server.close()
  await taskora.close()
})
