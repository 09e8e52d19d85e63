// Generated from lua/ by test/store/redis/commands.reference.test.ts; npm run generate writes it anew.

/** What everybody's scripts call. */
export const callerScriptCommands = [
  "DEL k",
  "EXISTS k",
  "GET k",
  "HDEL k f",
  "HEXISTS k f",
  "HGET k f",
  "HGETALL k",
  "HINCRBY k f 1",
  "HMGET k f",
  "HSCAN k 0",
  "HSET k f v",
  "HSETNX k f v",
  "LINDEX k 0",
  "LLEN k",
  "LPOP k",
  "LPUSH k v",
  "LRANGE k 0 1",
  "LTRIM k 0 1",
  "MGET k",
  "MSET k v",
  "PERSIST k",
  "PEXPIRE k 1",
  "PUBLISH c v",
  "RPOP k",
  "RPUSH k v",
  "SET k v",
  "TIME",
  "XADD k * e v",
  "XRANGE k - +",
  "XREVRANGE k + -",
  "ZADD k 1 m",
  "ZCARD k",
  "ZCOUNT k 0 1",
  "ZMSCORE k m",
  "ZRANGE k 0 1",
  "ZREM k m",
  "ZSCORE k m",
]

/** What the scripts of workers call besides. */
export const workerScriptCommands = ["LSET k 0 v"]

/** What the scripts of an exporter call. */
export const questionCommands = [
  "GET k",
  "HGET k f",
  "HGETALL k",
  "HMGET k f",
  "LINDEX k 0",
  "LLEN k",
  "TIME",
  "ZCARD k",
  "ZCOUNT k 0 1",
  "ZRANGE k 0 1",
]
