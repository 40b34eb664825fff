import { optionalTopic, topicField } from '../shapes.js';

/** What is read, and what is written where. */
export const topicsFields = {
  input_topic: topicField('tweets', 'Topic that tweets are read from.'),
  output_topic: topicField(
    'tweet-entities',
    'Topic that results are written to, one record per tweet. Restart all workers after adding partitions to it: the partition of a result is the input partition modulo their number.',
  ),
  dead_letter_topic: topicField('tweets.dead', 'Topic for records that cannot be processed, with their own bytes.'),
  mentions_topic: optionalTopic(
    'Second output, one record per mention with the entity as its key, for consumers that join by entity (`tweet-mentions` by custom). Doubles the records written.',
  ),
  replay_topic: optionalTopic(
    'Second input, for reading old tweets again: it takes what the live stream leaves (`replay_patience_ms`), and of each of its partitions at most 16 records are in work at once. Order holds per topic and partition.',
  ),
  retry_topic: optionalTopic(
    'Third input, which the worker itself writes: records that failed for now wait in it for `retry_delay_ms` and are tried again, `retry_attempts` times in all. Off by default, since such a record loses its place in the order of its partition.',
  ),
};
