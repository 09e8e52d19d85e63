/** From where on a number is worth a look, and from where on it is bad: colours of panels and thresholds of alerts. */
export interface Limit {
  readonly warn: number
  readonly bad: number
}

export const limits = {
  failureRatio: { warn: 0.01, bad: 0.1 },
  oldestSeconds: { warn: 60, bad: 600 },
  /** Waiting jobs that are a backlog. */
  depth: { warn: 100, bad: 1000 },
  drainSeconds: { warn: 600, bad: 3600 },
  busyRatio: { warn: 0.8, bad: 0.95 },
  /** Jobs or leases in a while; a single crash is nobody's alarm. */
  stalls: { warn: 1, bad: 3 },
  leasesLost: { warn: 1, bad: 3 },
  eventsLost: { warn: 1, bad: 1 },
  pausedTasks: { warn: 1, bad: 10 },
  latenessSeconds: { warn: 1, bad: 60 },
  slotsMissed: { warn: 1, bad: 1 },
  callSeconds: { warn: 0.05, bad: 0.5 },
  eventLagSeconds: { warn: 1, bad: 10 },
  loopDelaySeconds: { warn: 0.1, bad: 1 },
  burnRate: { warn: 1, bad: 6 },
} as const satisfies Record<string, Limit>
