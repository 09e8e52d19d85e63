import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { generatedFiles } from "../../dashboards/files.ts"
import { root } from "../support/repository.ts"

/** `npm run generate` writes them anew. */
describe("the generated files", () => {
  const files = [...generatedFiles()]

  test.each(files)("%s is current", async (path, text) => {
    await expect(text).toMatchFileSnapshot(join(root, path))
  })

  test("are the same each time", () => {
    expect([...generatedFiles()]).toEqual(files)
  })
})
