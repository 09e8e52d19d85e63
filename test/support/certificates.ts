import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

/** An authority made for this test, and the files of what it signed. */
export interface Authority {
  /** PEM. */
  readonly ca: string
  readonly caFile: string
  /** A certificate for these names, as `subjectAltName` takes them. */
  issue(names: string): Promise<{ readonly cert: string; readonly key: string }>
  remove(): Promise<void>
}

/** Needs the command openssl. */
export async function makeAuthority(): Promise<Authority> {
  const directory = await mkdtemp(join(tmpdir(), "taskora-ca-"))
  const path = (name: string) => join(directory, name)
  const openssl = (words: string, ...files: string[]) =>
    promisify(execFile)("openssl", [...words.split(" "), ...files])
  const caFile = path("ca.pem")
  await openssl(
    "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test-authority -keyout",
    path("ca.key"),
    "-out",
    caFile,
  )
  let issued = 0
  return {
    ca: await readFile(caFile, "utf8"),
    caFile,
    async issue(names) {
      const name = path(`server${++issued}`)
      await openssl(
        "req -newkey rsa:2048 -nodes -subj /CN=server -keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
      )
      await writeFile(`${name}.ext`, `subjectAltName=${names}\n`)
      const signing = [
        "-CA",
        caFile,
        "-CAkey",
        path("ca.key"),
        "-extfile",
        `${name}.ext`,
        "-out",
        `${name}.pem`,
      ]
      await openssl("x509 -req -days 1 -CAcreateserial -in", `${name}.csr`, ...signing)
      return { cert: `${name}.pem`, key: `${name}.key` }
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}
