/* `reflectd tenants`: who has files and jobs here, and how much of them is allowed. */
#ifndef SERVER_TENANTS_COMMAND_H
#define SERVER_TENANTS_COMMAND_H

int tenants_command(int argc, char **argv);

#endif
