import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { instruments, prometheusName } from "../../exporters/catalogue.ts"
import { renderMetricsReference } from "../../exporters/reference.ts"

/** `npx vitest run test/exporters/reference.test.ts -u` writes it anew. */
const page = fileURLToPath(new URL("../../docs/metrics.md", import.meta.url))

test("docs/metrics.md is current", async () => {
  await expect(renderMetricsReference()).toMatchFileSnapshot(page)
})

test("the page names every instrument in both spellings", () => {
  const text = renderMetricsReference()
  for (const instrument of instruments) {
    expect(text).toContain(`\`${instrument.name}\``)
    expect(text).toContain(`\`${prometheusName(instrument)}\``)
  }
})
