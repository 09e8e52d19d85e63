import { lstat } from "node:fs/promises"
import { bytes } from "./format.ts"

// The class of an error decides whether a job is tried again, and its name is the label `error_type` on /metrics.

/** The file was there when it was found, and is not any more. */
export class FileGoneError extends Error {
  override readonly name = "FileGoneError"
}

/** A symbolic link that points to nothing. */
export class DanglingLinkError extends Error {
  override readonly name = "DanglingLinkError"
}

export class NotAFileError extends Error {
  override readonly name = "NotAFileError"
}

export class UnreadableError extends Error {
  override readonly name = "UnreadableError"
}

export class FileTooLargeError extends Error {
  override readonly name = "FileTooLargeError"
  constructor(path: string, size: number, limit: number) {
    super(`${path} has ${bytes(size)}; at most ${bytes(limit)} are read (--max-file-bytes)`)
  }
}

/** A file that was announced and has not arrived: worth another try. */
export class NotThereYetError extends Error {
  override readonly name = "NotThereYetError"
}

/** In use, or too many files are open: worth another try. */
export class BusyError extends Error {
  override readonly name = "BusyError"
}

/** Trying again would not help. */
export const finalErrors = [
  FileGoneError,
  DanglingLinkError,
  NotAFileError,
  UnreadableError,
  FileTooLargeError,
]

/** Says in this program's words what the file system's error means for the job. */
export async function explain(thrown: unknown, path: string, expected: boolean): Promise<unknown> {
  const { code } = thrown as NodeJS.ErrnoException
  const options = { cause: thrown }
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      if (await isLink(path)) return new DanglingLinkError(`${path} points to nothing`, options)
      if (expected) return new NotThereYetError(`${path} has not arrived yet`, options)
      return new FileGoneError(`${path} has vanished`, options)
    case "ELOOP":
      return new DanglingLinkError(`${path} points to itself`, options)
    case "EACCES":
    case "EPERM":
      return new UnreadableError(`${path} may not be read`, options)
    case "EBUSY":
    case "EMFILE":
    case "ENFILE":
    case "EAGAIN":
      return new BusyError(`${path} cannot be read now (${code})`, options)
    default:
      return thrown
  }
}

async function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (entry) => entry.isSymbolicLink(),
    () => false,
  )
}
