import { createLocalHost } from '#mner/inference/host-local.js';
import { hostConformance } from './host-conformance.js';

hostConformance('in this process', createLocalHost);
