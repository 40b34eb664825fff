/** The demo's tweets: texts of our own, each with the picture that pictures.ts draws under its name, or with none. */
export interface Sample {
  readonly id: string;
  readonly text: string;
  readonly picture?: string;
  readonly altText?: string;
}

export const SAMPLES: readonly Sample[] = [
  {
    id: '1001',
    text: 'Serena Williams wins again at Wimbledon, what a match! #tennis',
    picture: 'court',
    altText: 'a tennis court seen from above',
  },
  {
    id: '1002',
    text: 'Sunset over Lisbon tonight, the Tagus is all gold',
    picture: 'sunset',
    altText: 'a sunset over water',
  },
  { id: '1003', text: 'Google opens a new office in Nairobi next year', picture: 'skyline' },
  {
    id: '1004',
    text: 'Listening to Abbey Road by The Beatles on repeat all day',
    picture: 'record',
    altText: 'a vinyl record',
  },
  { id: '1005', text: 'RT @newsdesk: Angela Merkel met Emmanuel Macron in Berlin this morning http://t.co/a1b2c3' },
  {
    id: '1006',
    text: 'Manchester United 2 - 1 Chelsea. Old Trafford is shaking!!',
    picture: 'pitch',
    altText: 'a football pitch',
  },
  { id: '1007', text: 'my cat has slept on the keyboard for three hours 😹', picture: 'cat', altText: 'a cat' },
  { id: '1008', text: 'Barack Obama will speak in Chicago &amp; New York this weekend', picture: 'stage' },
  {
    id: '1009',
    text: 'Snow in the Alps already ❄️ first day at Zermatt',
    picture: 'mountain',
    altText: 'snowy mountains',
  },
  { id: '1010', text: 'Just finished The Great Gatsby, thank you @booksofmine for the tip' },
  { id: '1011', text: 'Queue at the Apple store on Regent Street goes round the corner', picture: 'street' },
  { id: '1012', text: 'Toronto Raptors sign a new deal with Nike', picture: 'hoop', altText: 'a basketball hoop' },
];
