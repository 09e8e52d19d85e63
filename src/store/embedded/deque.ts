import type { Bytes } from "./bytes.ts"

const smallest = 16

/** A list as a ring buffer: O(1) at both ends and by index; it gives memory back when it has shrunk. */
export class Deque {
  private slots: (Bytes | undefined)[] = new Array(smallest)
  private head = 0
  length = 0

  private slot(index: number): number {
    return (this.head + index) & (this.slots.length - 1)
  }

  pushLeft(value: Bytes): void {
    if (this.length === this.slots.length) this.resize(this.slots.length * 2)
    this.head = this.slot(-1)
    this.slots[this.head] = value
    this.length++
  }

  pushRight(value: Bytes): void {
    if (this.length === this.slots.length) this.resize(this.slots.length * 2)
    this.slots[this.slot(this.length)] = value
    this.length++
  }

  popLeft(): Bytes | undefined {
    if (this.length === 0) return undefined
    const value = this.slots[this.head]
    this.slots[this.head] = undefined
    this.head = this.slot(1)
    this.length--
    this.shrink()
    return value
  }

  popRight(): Bytes | undefined {
    if (this.length === 0) return undefined
    const at = this.slot(this.length - 1)
    const value = this.slots[at]
    this.slots[at] = undefined
    this.length--
    this.shrink()
    return value
  }

  /** `index` must be within the list. */
  at(index: number): Bytes {
    return this.slots[this.slot(index)] as Bytes
  }

  set(index: number, value: Bytes): void {
    this.slots[this.slot(index)] = value
  }

  /** The values from `start` up to and including `stop`, both within the list. */
  slice(start: number, stop: number): Bytes[] {
    const values: Bytes[] = []
    for (let index = start; index <= stop; index++) values.push(this.at(index))
    return values
  }

  /** Keeps only `start` to `stop`, both included. */
  keep(start: number, stop: number): void {
    for (let drop = this.length - 1 - stop; drop > 0; drop--) this.popRight()
    for (let drop = start; drop > 0; drop--) this.popLeft()
  }

  /** Removes up to `limit` values equal to `value`, from the right if `fromRight`; answers how many. */
  remove(value: Bytes, limit: number, fromRight: boolean): number {
    const values = this.slice(0, this.length - 1)
    if (fromRight) values.reverse()
    let removed = 0
    const kept = values.filter((candidate) => {
      if (removed >= limit || candidate !== value) return true
      removed++
      return false
    })
    if (removed === 0) return 0
    if (fromRight) kept.reverse()
    let capacity = smallest
    while (capacity < kept.length) capacity *= 2
    this.length = kept.length
    this.head = 0
    this.slots = kept
    this.slots.length = capacity
    return removed
  }

  private shrink(): void {
    if (this.slots.length > smallest && this.length < this.slots.length / 4)
      this.resize(this.slots.length / 2)
  }

  private resize(capacity: number): void {
    const slots: (Bytes | undefined)[] = new Array(capacity)
    for (let index = 0; index < this.length; index++) slots[index] = this.at(index)
    this.slots = slots
    this.head = 0
  }
}
