// A participant named "payment", reached over NATS. It speaks docs/protocol.md with the stock client; none of its code is Sagaz'.
//
//   node participant.js nats://127.0.0.1:4222 books.jsonl
//
// The books are its database: one line for each command that was handled, with the effect and the reply together, written before anything is
// answered. A real service does the same in a transaction.
'use strict';

const fs = require('fs');
const { AckPolicy, connect, JSONCodec, nanos } = require('nats');

const [server, file] = process.argv.slice(2);
const codec = JSONCodec();

class Books {
  constructor(file) {
    this.lines = new Map(); // by key
    if (fs.existsSync(file)) {
      const text = fs.readFileSync(file, 'utf8');
      const whole = text.slice(0, text.lastIndexOf('\n') + 1); // a crash may have cut the last line: it was never answered
      if (whole.length < text.length) fs.truncateSync(file, Buffer.byteLength(whole));
      for (const line of whole.split('\n').filter(Boolean)) {
        const entry = JSON.parse(line);
        this.lines.set(entry.key, entry);
      }
    }
    this.fd = fs.openSync(file, 'a');
  }

  find(key) {
    return this.lines.get(key);
  }

  write(...entries) {
    fs.writeSync(this.fd, entries.map((e) => JSON.stringify(e) + '\n').join(''));
    fs.fsyncSync(this.fd);
    for (const e of entries) this.lines.set(e.key, e);
  }
}

// handle returns the reply to a command: outcome, and payload or error.
function handle(books, command) {
  const known = books.find(command.key);
  if (known) return known.reply; // it was handled before, or its compensation came first
  if (Date.parse(command.deadline) <= Date.now()) return null; // the saga has stopped waiting; it asks again if it wants to

  switch (command.action) {
    case 'charge': {
      const { card, cents } = command.payload;
      if (card === 'tok_declined') return { outcome: 'rejected', error: 'the card is declined' };
      const reply = { outcome: 'done', payload: { payment: command.key } };
      books.write({ key: command.key, charged: cents, reply });
      return reply;
    }
    case 'refund': {
      const reply = { outcome: 'done', payload: {} };
      const step = books.find(command.step_key);
      const entries = [{ key: command.key, refunded: step ? step.charged : 0, reply }];
      if (!step) {
        // The charge has not come: from now on it must not.
        entries.push({ key: command.step_key, reply: { outcome: 'rejected', error: 'refunded before it was charged' } });
      }
      books.write(...entries);
      return reply;
    }
    default:
      return { outcome: 'rejected', error: `payment.${command.action} is not known here` };
  }
}

async function main() {
  const books = new Books(file);
  const connection = await connect({ servers: server, maxReconnectAttempts: -1 });
  const manager = await connection.jetstreamManager();
  const subject = 'payment.commands';
  let stream;
  try {
    stream = await manager.streams.find(subject);
  } catch {
    stream = (await manager.streams.add({ name: 'payment_commands', subjects: [subject] })).config.name;
  }
  await manager.consumers.add(stream, { durable_name: 'payment', ack_policy: AckPolicy.Explicit, ack_wait: nanos(5_000) });
  const consumer = await connection.jetstream().consumers.get(stream, 'payment');
  const replies = connection.jetstream();
  console.log('ready');

  for await (const message of await consumer.consume({ max_messages: 10 })) {
    const command = codec.decode(message.data);
    const reply = handle(books, command);
    if (reply) {
      const data = codec.encode({ key: command.key, attempt: command.attempt, ...reply });
      await replies.publish(command.reply_to, data, { msgID: `${command.key}#${command.attempt}` });
    }
    message.ack();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
