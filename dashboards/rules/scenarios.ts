/** What the alerts must do: fire, stay silent, end. One minute a sample. */
import { counters, gauges } from "../../exporters/catalogue.ts"
import { flowScenarios } from "./flow-scenarios.ts"
import { level, objective, ramp, type Scenario, series, transitions } from "./samples.ts"

const { clusterTransitions: moved, jobsStalled, leasesLost, eventsLost, progressReports } = counters

const burnsFast = "TaskoraErrorBudgetBurnsFast"
const burns = "TaskoraErrorBudgetBurns"
const burnsSlowly = "TaskoraErrorBudgetBurnsSlowly"

export const scenarios: readonly Scenario[] = [
  {
    name: "every second job fails for a while",
    series: transitions({
      completed: [
        [20, 60],
        [20, 30],
        [40, 60],
      ],
      failed: [
        [20, 0],
        [20, 30],
        [40, 0],
      ],
    }),
    firing: { 15: [], 23: [], 30: ["TaskoraFailureRatioHigh"], 50: [] },
  },
  {
    name: "three of twenty jobs fail",
    series: transitions({ completed: [[60, 17]], failed: [[60, 3]] }),
    firing: { 4: [], 30: ["TaskoraFailureRatioHigh"] },
  },
  {
    name: "seven jobs in ten minutes, and each fails",
    series: transitions({
      completed: [[80, 0]],
      failed: Array.from({ length: 80 }, (_, minute) => [1, minute % 3 === 0 ? 0 : 1] as const),
    }),
    firing: { 20: [], 40: [], 79: [] },
  },
  {
    name: "a few of very many fail",
    series: transitions({ completed: [[60, 600]], failed: [[60, 30]] }),
    firing: { 20: [], 59: [] },
  },
  {
    name: "the one job that an idle queue runs now and then fails",
    series: transitions({
      completed: [[80, 0]],
      failed: [
        [20, 0],
        [1, 1],
        [20, 0],
        [1, 1],
        [38, 0],
      ],
    }),
    firing: { 22: [], 27: [], 45: [], 60: [] },
  },
  {
    name: "5 % break an objective that allows 0.1 %",
    series: objective(100, [60, 0], [40, 5], [500, 0]),
    firing: {
      59: [],
      70: [],
      100: [burnsFast, burns],
      110: [burns],
      180: [burnsSlowly],
      590: [],
    },
  },
  {
    name: "1.6 % break an objective that allows 0.1 %",
    series: objective(100, [180, 1.6]),
    firing: { 90: [burnsFast, burns, burnsSlowly] },
  },
  {
    name: "0.7 % break an objective that allows 0.1 %",
    series: objective(100, [300, 0.7], [420, 0]),
    firing: { 10: [], 90: [burns, burnsSlowly], 295: [burns, burnsSlowly], 340: [burnsSlowly], 710: [] },
  },
  {
    name: "0.2 % breaks an objective that allows 0.1 %",
    series: objective(1000, [300, 2], [420, 0]),
    firing: { 30: [], 90: [burnsSlowly], 710: [] },
  },
  {
    name: "half of what an objective allows breaks it",
    series: objective(1000, [600, 0.5]),
    firing: { 60: [], 300: [], 599: [] },
  },
  {
    name: "two of three events break an objective on an idle queue",
    series: objective(0.05, [20, 0], [2, 1], [278, 0]),
    firing: { 25: [], 40: [], 90: [], 200: [] },
  },
  {
    name: "a job is left lying, then taken",
    series: [series(gauges.queueOldest, {}, `${level([10, 0], [26, 600])} 2160+60x20`)],
    firing: { 15: [], 24: [], 30: ["TaskoraOldestJobTooOld"], 40: [] },
  },
  {
    name: "a queue grows for an hour, then falls",
    series: [
      series(
        gauges.queueJobs,
        { state: "waiting" },
        `${level([10, 0])} ${ramp([[60, 20]])} ${ramp([[60, -20]], 1200)}`,
      ),
      series(gauges.taskWorkers, {}, level([130, 2])),
    ],
    firing: { 20: [], 40: [], 50: ["TaskoraBacklogGrows"], 90: [], 125: [] },
  },
  {
    name: "a burst is worked off",
    series: [
      series(
        gauges.queueJobs,
        { state: "waiting" },
        `${level([10, 0])} ${ramp([[50, -100]], 5000)} ${level([20, 0])}`,
      ),
      series(gauges.taskWorkers, {}, level([80, 2])),
    ],
    firing: { 12: [], 24: [], 30: [], 45: [], 70: [] },
  },
  {
    name: "a short queue breathes",
    series: [
      // Of one queue: two processes tell the same.
      ...["a", "b"].map((instance) =>
        series(gauges.queueJobs, { state: "waiting", instance }, ramp([[90, 1]])),
      ),
      series(gauges.taskWorkers, {}, level([90, 2])),
    ],
    firing: { 30: [], 60: [], 89: [] },
  },
  {
    name: "workers are gone for a deploy, and later for good, until somebody starts them",
    series: [
      series(gauges.queueJobs, { state: "waiting" }, level([60, 5])),
      series(gauges.taskWorkers, {}, level([10, 2], [3, 0], [7, 2], [20, 0], [20, 2])),
    ],
    firing: { 12: [], 18: [], 23: [], 30: ["TaskoraNoWorkers"], 45: [] },
  },
  {
    name: "no workers, and nothing to do",
    series: [
      series(gauges.queueJobs, { state: "waiting" }, level([60, 0])),
      series(gauges.queueJobs, { state: "delayed" }, level([60, 50])),
      series(gauges.taskWorkers, {}, level([60, 0])),
    ],
    firing: { 20: [], 59: [] },
  },
  {
    name: "jobs hang, until one ends",
    series: [
      series(gauges.queueJobs, { state: "active" }, level([70, 2])),
      series(progressReports, {}, level([70, 0])),
      ...transitions({
        completed: [
          [10, 5],
          [40, 0],
          [20, 1],
        ],
      }),
    ],
    firing: { 9: [], 28: [], 40: ["TaskoraNoProgress"], 60: [] },
  },
  {
    name: "long jobs report their progress",
    series: [
      series(gauges.queueJobs, { state: "active" }, level([70, 2])),
      series(progressReports, {}, ramp([[70, 1]])),
      ...transitions({ completed: [[70, 0]] }),
    ],
    firing: { 20: [], 40: [], 69: [] },
  },
  {
    name: "a worker with one job is killed, later one with five",
    series: [
      series(jobsStalled, { action: "recovered" }, level([10, 0], [20, 1], [40, 6])),
      series(jobsStalled, { action: "failed" }, level([70, 0])),
    ],
    firing: { 12: [], 28: [], 32: ["TaskoraJobsStall"], 60: [] },
  },
  {
    name: "all workers are killed; new ones recover the jobs before their first scrape, and one that dispatches lives",
    series: [
      series(jobsStalled, { action: "recovered", instance: "new" }, "_x12 5+0x47"),
      series(moved, { transition: "stalled_recovered", instance: "new" }, "_x12 5+0x47"),
      series(moved, { transition: "stalled_recovered", instance: "web" }, level([12, 0], [48, 5])),
    ],
    firing: { 11: [], 15: ["TaskoraJobsStall"], 40: [] },
  },
  {
    name: "one lease is lost, later five",
    series: [series(leasesLost, {}, level([10, 0], [20, 1], [40, 6]))],
    firing: { 12: [], 28: [], 32: ["TaskoraLeasesLost"], 60: [] },
  },
  {
    name: "events are lost",
    series: [series(eventsLost, {}, level([10, 0], [40, 3]))],
    firing: { 9: [], 12: ["TaskoraEventsLost"], 40: [] },
  },
  {
    name: "the store is away from one process for a moment, later for longer",
    series: [
      series(gauges.storeUp, {}, level([60, 1])),
      series(gauges.storeUp, { instance: "b" }, level([10, 1], [1, 0], [9, 1], [10, 0], [30, 1])),
    ],
    firing: { 10: [], 15: [], 21: [], 25: ["TaskoraStoreDown"], 35: [] },
  },
  {
    name: "a deploy: workers go and come, counters begin anew, jobs are handed back and wait for a moment",
    series: [
      series(gauges.workers, {}, level([20, 2], [2, 0], [38, 2])),
      series(gauges.taskWorkers, {}, level([20, 2], [2, 0], [38, 2])),
      series(gauges.queueJobs, { state: "waiting" }, level([20, 0], [2, 200], [1, 80], [37, 0])),
      series(gauges.queueJobs, { state: "active" }, level([20, 4], [2, 0], [38, 4])),
      series(gauges.queueOldest, {}, level([20, 0], [3, 1200], [37, 0])),
      series(gauges.storeUp, {}, `${level([20, 1])} stale ${level([39, 1])}`),
      series(jobsStalled, { action: "recovered" }, `${level([20, 0])} stale ${level([39, 1])}`),
      series(leasesLost, {}, level([60, 0])),
      series(eventsLost, {}, level([60, 0])),
      ...objective(100, [60, 0.05]),
      ...transitions({
        completed: [
          [20, 100],
          [2, 0],
          [38, 110],
        ],
        failed: [[60, 1]],
        released: [
          [20, 0],
          [1, 4],
          [39, 0],
        ],
      }),
    ],
    firing: Object.fromEntries([19, 20, 21, 22, 23, 24, 25, 30, 40, 59].map((minute) => [minute, []])),
  },
  ...flowScenarios,
  {
    name: "an idle queue",
    series: [
      series(gauges.workers, {}, level([200, 2])),
      series(gauges.taskWorkers, {}, level([200, 2])),
      ...["waiting", "delayed", "active"].map((state) =>
        series(gauges.queueJobs, { state }, level([200, 0])),
      ),
      series(gauges.queueOldest, {}, level([200, 0])),
      series(gauges.storeUp, {}, level([200, 1])),
      series(progressReports, {}, level([200, 0])),
      ...objective(0, [200, 0]),
      ...transitions({ completed: [[200, 0]], failed: [[200, 0]] }),
    ],
    firing: { 30: [], 100: [], 199: [] },
  },
]
