import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { memoryBroker } from '#mner/stream/memory.js';
import { redriveConformance } from './redrive-conformance.js';

const brokers = process.env.MNER_TEST_BROKERS?.split(',').filter(Boolean) ?? [];

redriveConformance('the in-memory broker', { open: async () => memoryBroker() });
if (brokers.length > 0) redriveConformance('Kafka', { open: async () => kafkaBroker({ brokers }) });
