import { path } from './fragments.ts';

/**
 * A throw-away Docker config for token $2; its config.json comes by stdin. Contexts and plugins of the
 * user's own are kept. Prints its path.
 */
export const makeDockerConfig = `${path}
config=$1/.lockkeeper/docker-config.$2
own=\${DOCKER_CONFIG:-$HOME/.docker}
rm -rf "$config"
mkdir -m 700 "$config"
cat >"$config/config.json"
for part in contexts cli-plugins; do
  if [ -d "$own/$part" ]; then ln -s "$own/$part" "$config/$part"; fi
done
echo "$config"
`;

/** The user's own Docker config; {} where there is none. */
export const readDockerConfig = `cat "\${DOCKER_CONFIG:-$HOME/.docker}/config.json" 2>/dev/null || echo '{}'`;

/** Logs in to registry $3 as $4 with the password from stdin, into the config $2. */
export const registryLogin = `${path}
DOCKER_CONFIG=$2 docker login --username "$4" --password-stdin "$3"
`;
