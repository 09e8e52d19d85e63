import { expect, test } from "vitest"
import { acceptsGzip, negotiateFormat } from "../../exporters/server/accept.ts"

const prometheus2 =
  "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
const prometheus3 =
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

test.each([
  [undefined, "text"],
  ["", "text"],
  ["*/*", "text"],
  ["text/html,application/xhtml+xml,*/*;q=0.8", "text"],
  ["image/png", "text"],
  [prometheus2, "openmetrics"],
  [prometheus3, "openmetrics"],
  ["application/openmetrics-text", "openmetrics"],
  ["APPLICATION/OpenMetrics-Text; Version=1.0.0", "openmetrics"],
  ['application/openmetrics-text; version="1.0.0"', "openmetrics"],
  ["application/openmetrics-text;version=2.0.0", "text"],
  ["application/openmetrics-text;q=0", "text"],
  ["application/openmetrics-text;q=0.0, */*", "text"],
  ["application/openmetrics-text;q=0.2, text/plain;q=0.8", "text"],
  ["application/openmetrics-text;q=0.8, text/plain;q=0.2", "openmetrics"],
  ["application/openmetrics-text;q=0.2, */*;q=0.8", "text"],
  ["application/openmetrics-text, */*", "openmetrics"],
  ["text/plain, application/openmetrics-text", "text"],
  ["application/openmetrics-text, text/plain", "openmetrics"],
  ["application/openmetrics-text;q=2", "text"],
  ["application/openmetrics-text;q=banana", "text"],
  [",;,;;q=,=", "text"],
  [",".repeat(8000), "text"],
])("Accept %j gets %s", (accept, format) => {
  expect(negotiateFormat(accept)).toBe(format)
})

test.each([
  [undefined, false],
  ["", false],
  ["gzip", true],
  ["deflate, gzip;q=0.5", true],
  ["gzip;q=0", false],
  ["*", true],
  ["*;q=0", false],
  ["gzip;q=0, *", false],
  ["br", false],
])("Accept-Encoding %j: gzip %s", (encoding, gzip) => {
  expect(acceptsGzip(encoding)).toBe(gzip)
})
