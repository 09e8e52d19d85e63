import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { promisify } from "node:util"

export interface Size {
  readonly width: number
  readonly height: number
}

/** Takes a picture of a page that needs nothing from any network. */
export async function shoot(page: string, picture: string, { width, height }: Size): Promise<void> {
  const profile = await mkdtemp(join(tmpdir(), "taskora-chromium-"))
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    `--user-data-dir=${profile}`,
    `--window-size=${width},${height}`,
    `--screenshot=${picture}`,
  ]
  try {
    await promisify(execFile)("chromium", [...flags, pathToFileURL(page).href], { timeout: 120_000 })
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}
