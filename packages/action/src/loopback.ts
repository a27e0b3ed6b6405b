/** Whether a URL's host leads nowhere but to this computer, so that plain http shows nothing to the network. */
export const isLoopback = (hostname: string): boolean =>
  /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
