import { getOctokit } from '@actions/github';

/** GitHub's REST client for this run's server (GITHUB_API_URL). Its own entry point, so that only its user bundles it. */
export const octokit = (token: string) => getOctokit(token);
