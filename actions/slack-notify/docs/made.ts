import { pictureOf, wordsOf } from '../../../tools/message-picture.ts';
import { messageOf, type SceneName, scenes } from './scenes.ts';

const shown: Array<[file: string, scene: SceneName, words: string]> = [
  ['success', 'success', 'A success: what went where, what serves, whose change it was.'],
  [
    'failure',
    'rolled back',
    'A failure: the measured reason, the job and step, the way to its log, what serves now.',
  ],
  ['cancelled', 'cancelled', 'A cancelled run: where it was stopped. Nobody is called.'],
];

/** Further parts of the README, by the name of their marks. */
export const sections: Record<string, string> = {
  messages: shown
    .map(([file, scene, words]) => {
      const alt = wordsOf(messageOf(scenes[scene]))
        .replaceAll('&', '&amp;')
        .replaceAll('<', '&lt;')
        .replaceAll('"', '&quot;');
      return `${words}\n\n<img src="docs/${file}.svg" width="440" alt="${alt}">`;
    })
    .join('\n\n'),
};

/** Files below the action's folder, and what they should hold. */
export const files: Record<string, string> = Object.fromEntries(
  shown.map(([file, scene]) => [`docs/${file}.svg`, pictureOf(messageOf(scenes[scene]))]),
);
