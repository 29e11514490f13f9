/** What went wrong with a connection, for people who rent a machine twice a year: what it means, and what to do. */

const COPY_AGAIN = "Open the machine’s page at your provider, check that it is running, and copy its SSH command again: address and port change with each machine.";
const TRY_AGAIN = "Try again in a minute. If it stays so, restart the machine at your provider.";

const TROUBLES = {
  connect_failed: ["The machine does not answer.", COPY_AGAIN],
  authentication_failed: ["The machine does not know your SSH key.", "Nodeferry uses the SSH keys of the computer that it runs on (the folder ~/.ssh, and the agent). Add the public one (the file that ends in .pub) to the SSH keys of your account at the provider. Most providers put it only on machines that are made afterwards."],
  no_ssh_key: ["There is no SSH key to log in with.", "Nodeferry logs in with an SSH key of the computer that it runs on. Make one here, and add its public part to your account at the provider."],
  host_key_mismatch: ["This is not the machine that was at this address before.", "Rented addresses are given to other machines all the time. If you have rented a new one, that is the reason. If not, do not go on."],
  host_key_revoked: ["This machine’s key was marked as one not to be trusted.", "It is marked in ~/.ssh/known_hosts of the computer that Nodeferry runs on."],
  exec_not_supported: ["This SSH address gives a terminal only.", "On RunPod copy the command called “SSH over exposed TCP”, not the one with ssh.runpod.io."],
  connection_lost: ["The connection broke off.", TRY_AGAIN],
  command_timed_out: ["The machine is there, but did not answer in time.", "It may still be starting, or be very busy. " + TRY_AGAIN],
  transfer_failed: ["Nothing can be written on the machine.", "Its disk may be full. Free some space there, or rent one with a larger disk."],
  ui_home_not_found: ["ComfyUI was not found on the machine.", "If it is there, write its folder into “ComfyUI’s folder” under Options. If the machine is just starting, its image may still be installing it."],
  ui_home_ambiguous: ["There is more than one ComfyUI on the machine.", "Write the folder of the one you mean into “ComfyUI’s folder” under Options."],
  runner_unsupported: ["This machine cannot be used.", "It needs Linux with Python 3.9 or newer. Pick a ComfyUI image at your provider."],
  runner_start_failed: ["Nodeferry’s helper did not start on the machine.", TRY_AGAIN],
  runner_protocol_error: ["The machine answers in a way that Nodeferry does not understand.", "Something on it prints text into every command, maybe its login script. " + TRY_AGAIN],
  proxy_command_unsupported: ["Your SSH settings lead to this machine through a program.", "Use a command with address and port instead, or ProxyJump."],
  ssh_config_invalid: ["Your SSH settings have a mistake.", "It is in ~/.ssh/config of the computer that Nodeferry runs on."],
};

/** Title and advice; null where the service's own words must do. */
export const troubleOf = (code) => {
  const [title, advice] = TROUBLES[code] ?? [null, null];
  return { title, advice };
};
